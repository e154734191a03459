"""Order the rows of attention heads: rotary pairs in two halves, as checkpoints and phi3 have them, or side by side."""

import numpy as np
from numpy.typing import NDArray

from converter.lazy_tensors import RowSource, SelectedRows, row_count


def halves_of_interleaved(n_heads: int, n_rows: int) -> NDArray[np.int64]:
    """Return where the rows of heads in halves lie in heads that are interleaved (x0 y0 x1 y1 to x0 x1 y0 y1)."""
    return np.arange(n_rows).reshape(n_heads, -1, 2).swapaxes(1, 2).reshape(-1)


def interleaved_of_halves(n_heads: int, n_rows: int) -> NDArray[np.int64]:
    """Return where the rows of interleaved heads lie in heads that are in halves, the inverse."""
    return np.arange(n_rows).reshape(n_heads, 2, -1).swapaxes(1, 2).reshape(-1)


def in_halves(source: RowSource, n_heads: int) -> RowSource:
    """Return interleaved query or key rows in halves."""
    return SelectedRows(source, halves_of_interleaved(n_heads, row_count(source)))


def interleaved(source: RowSource, n_heads: int) -> RowSource:
    """Return query or key rows in halves interleaved."""
    return SelectedRows(source, interleaved_of_halves(n_heads, row_count(source)))
