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


def choose_sequences(
    context: int, original_context: int, window: int, has_long_rope: bool, window_name: str = "sliding window"
) -> list[Sequence]:
    """Choose sequences and bands for a model.

    Args:
        context: most tokens to compare (what the model was trained for, or less to save time).
        original_context: length above which LongRoPE's long factors apply.
        window: tokens that a query sees, or up to which it sees all; 0 for no such number.
        has_long_rope: whether the line at `original_context` matters.
        window_name: what to call the window.
    """
    short = min(SHORT_TOKENS, context, original_context)
    sequences = [Sequence(short, (Band("short", 0, short - 1),))]
    # A sequence lies on one side of the line: a longer one has other factors at all of its positions.
    most = original_context if has_long_rope and window <= original_context + EDGE_TOKENS else context
    if 0 < window < min(most, context):
        length = min(2 * window, most, context)
        first, last = max(0, window - EDGE_TOKENS), min(window + EDGE_TOKENS, length - 1)
        edge = Band(f"edge of the {window_name}", first, last)
        beyond = Band(f"beyond the {window_name}", max(0, length - EDGE_TOKENS), length - 1)
        sequences.append(Sequence(length, (edge, beyond)))
    if has_long_rope and original_context < context:
        below = Band("up to the LongRoPE line", original_context - EDGE_TOKENS, original_context - 1)
        sequences.append(Sequence(original_context, (below,)))
        length = min(original_context + 4 * EDGE_TOKENS, context)
        sequences.append(Sequence(length, (Band("beyond the LongRoPE line", original_context, length - 1),)))
    return sequences
