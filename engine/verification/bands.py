"""Choose where a model is compared with its reference: the places where a runtime of this family goes wrong."""

from dataclasses import dataclass

SHORT_TOKENS = 256
EDGE_TOKENS = 16


@dataclass(frozen=True)
class Band:
    """Name the positions `first` to `last`, both included, of one sequence."""

    name: str
    first: int
    last: int

    @property
    def positions(self) -> range:
        """Return the positions."""
        return range(self.first, self.last + 1)


@dataclass(frozen=True)
class Sequence:
    """Ask for one evaluation of the first `length` tokens of the text, compared at its bands."""

    length: int
    bands: tuple[Band, ...]


def choose_sequences(context: int, original_context: int, sliding_window: int, has_long_rope: bool) -> list[Sequence]:
    """Choose sequences and bands for a model.

    Args:
        context: most tokens to compare (what the model was trained for, or less to save time).
        original_context: length above which LongRoPE's long factors apply.
        sliding_window: tokens that a query sees; 0 for all.
        has_long_rope: whether the line at `original_context` matters.
    """
    short = min(SHORT_TOKENS, context, original_context)
    sequences = [Sequence(short, (Band("short", 0, short - 1),))]
    if 0 < sliding_window < context:
        length = min(2 * sliding_window, context)
        first, last = max(0, sliding_window - EDGE_TOKENS), min(sliding_window + EDGE_TOKENS, length - 1)
        edge = Band("edge of the sliding window", first, last)
        beyond = Band("beyond the sliding window", max(0, length - EDGE_TOKENS), length - 1)
        sequences.append(Sequence(length, (edge, beyond)))
    if has_long_rope and original_context < context:
        below = Band("up to the LongRoPE line", original_context - EDGE_TOKENS, original_context - 1)
        sequences.append(Sequence(original_context, (below,)))
        length = min(original_context + 4 * EDGE_TOKENS, context)
        sequences.append(Sequence(length, (Band("beyond the LongRoPE line", original_context, length - 1),)))
    return sequences
