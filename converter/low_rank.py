"""Hold the change that LoRA makes to a matrix, https://arxiv.org/abs/2106.09685, as its two factors."""

from dataclasses import dataclass

import numpy as np

from converter.errors import ConversionError
from converter.lazy_tensors import Rows, RowSource, row_count, rows_per_chunk


@dataclass(frozen=True)
class LowRank:
    """Give the rows of `scale` * B A; `a` is `[rank, in]` and `b` is `[out, rank]`, both read when they are needed."""

    a: RowSource
    b: RowSource
    scale: float

    @property
    def rank(self) -> int:
        """Return how many directions the change has."""
        return self.a.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the matrix."""
        return (self.b.shape[0], self.a.shape[1])

    def rows(self, start: int, stop: int) -> Rows:
        """Return rows of the change; numbers that are not finite are refused."""
        with np.errstate(over="ignore", invalid="ignore"):
            product: Rows = self.b.rows(start, stop) @ self.a.rows(0, self.rank)
            product *= np.float32(self.scale)
            # A sum is cheaper than a test of each number.
            suspicious = not np.isfinite(product.sum())
        if suspicious and not np.isfinite(product).all():
            raise ConversionError(
                "model_invalid",
                "The adapter is damaged: what it adds to the weights is infinite.",
                "Take an earlier state of the training.",
            )
        return product


class Columns:
    """Give some columns of another source, from `start` on in steps of `step`, and zeros behind them up to `width`."""

    def __init__(self, source: RowSource, count: int, start: int = 0, step: int = 1, width: int = 0) -> None:
        """Take the source and which columns; the rows must fit into memory a chunk at a time."""
        self._source = source
        self._columns = slice(start, start + count * step, step)
        self._padding = max(width - count, 0)
        self.shape = (*source.shape[:-1], count + self._padding)

    def rows(self, start: int, stop: int) -> Rows:
        """Return the columns of some rows."""
        return np.pad(self._source.rows(start, stop)[:, self._columns], ((0, 0), (0, self._padding)))


class Transposed:
    """Give a narrow matrix with rows and columns exchanged; it is read a few rows at a time."""

    def __init__(self, source: RowSource) -> None:
        """Take the matrix."""
        self._source = source
        self.shape = (source.shape[1], source.shape[0])

    def rows(self, start: int, stop: int) -> Rows:
        """Return columns of the source as rows."""
        n_rows, step = row_count(self._source), rows_per_chunk(self._source.shape[-1])
        parts = [self._source.rows(first, min(first + step, n_rows)) for first in range(0, n_rows, step)]
        return np.concatenate([part[:, start:stop] for part in parts]).T


class Zeros:
    """Give zeros in the shape of a tensor."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Take the shape."""
        self.shape = shape

    def rows(self, start: int, stop: int) -> Rows:
        """Return rows of zeros."""
        return np.zeros((stop - start, self.shape[-1]), np.float32)
