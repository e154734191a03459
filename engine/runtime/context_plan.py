"""Decide how large a context must be for a conversation, so that memory grows only with it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.runtime.model import CELL_PADDING

FIRST_CELLS = 1024
LARGEST_STEP = 16384

# A matrix product of a prompt cannot be interrupted, so this many multiplications bound the time to stop: some 60 ms on
# two cores. Batches of 128 read about 10 % slower than those of 512, of 64 about 20 %, smaller ones take twice as long.
_PRODUCT_BUDGET = 7e9
_SMALLEST_BATCH = 64
_LARGEST_BATCH = 512


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """Choose sizes of contexts for a model.

    Attributes:
        limit: most tokens of a conversation.
        longrope_line: the longest sequence that LongRoPE's short factors serve; None for models without LongRoPE.
        short_cells: the largest context in which llama.cpp takes the short factors.
    """

    limit: int
    longrope_line: int | None = None
    short_cells: int = 0

    def is_long(self, tokens: int) -> bool:
        """Tell whether a sequence needs LongRoPE's long factors."""
        return self.longrope_line is not None and tokens > self.longrope_line

    def cells_for(self, tokens: int) -> int:
        """Give the size of the context, in cells, for a conversation that now has `tokens` tokens."""
        least, most = 0, _round_up(self.limit, CELL_PADDING)
        if self.is_long(tokens):
            least = self.short_cells + CELL_PADDING
            most = max(most, least)
        elif self.longrope_line is not None:
            most = min(most, self.short_cells)
        wanted = max(tokens, least)
        step = FIRST_CELLS
        while step < wanted and step < LARGEST_STEP:
            step *= 2
        return min(_round_up(wanted, step), most)


def batch_size(widest_product: int, *, on_gpu: bool) -> int:
    """Choose how many tokens of a prompt are evaluated at once, given the multiplications of a token's widest step."""
    if on_gpu:
        return _LARGEST_BATCH
    size = _SMALLEST_BATCH
    while size < _LARGEST_BATCH and 2 * size * widest_product <= _PRODUCT_BUDGET:
        size *= 2
    return size


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
