"""Express LayerNorm with llama.cpp's RMSNorm.

A residual stream of zero mean makes both the same, so everything written to the stream is centred over the stream's
width: each embedding, each column of an output projection (its rows are the stream's width), each bias. LayerNorm
ignores the mean anyway. A norm's bias moves into the biases of the matrices that read the norm's output.
"""

import threading

import numpy as np

from converter.lazy_tensors import MappedRows, Rows, RowSource, row_count, rows_per_chunk


def centred_rows(source: RowSource) -> RowSource:
    """Return rows, or a bias, each minus its own mean."""
    return MappedRows(source, lambda rows: rows - rows.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32))


class CentredColumns:
    """Give the rows of a matrix minus the mean of all of them; the mean is taken in a first pass at the first read."""

    def __init__(self, source: RowSource, factor: float = 1.0) -> None:
        """Take the matrix, and what to multiply the result by."""
        self._source = source
        self._factor = np.float32(factor)
        self._mean: Rows | None = None
        self._lock = threading.Lock()
        self.shape = source.shape

    def rows(self, start: int, stop: int) -> Rows:
        """Return centred rows."""
        with self._lock:
            if self._mean is None:
                self._mean = self._column_mean()
        return (self._source.rows(start, stop) - self._mean) * self._factor

    def _column_mean(self) -> Rows:
        n_rows, columns = row_count(self._source), self.shape[-1]
        step = rows_per_chunk(columns)
        total = np.zeros(columns)
        for start in range(0, n_rows, step):
            total += self._source.rows(start, min(start + step, n_rows)).sum(axis=0, dtype=np.float64)
        return (total / n_rows).astype(np.float32)


class FoldedBias:
    """Give the bias of a matrix, one number a row, with the bias of the norm in front of the matrix moved into it."""

    def __init__(self, matrix: RowSource, bias: RowSource, norm_bias: RowSource) -> None:
        """Take the matrix, its bias, and the norm's bias."""
        self._matrix = matrix
        self._bias = bias
        self._norm_bias = norm_bias
        self.shape = (matrix.shape[0], 1)

    def rows(self, start: int, stop: int) -> Rows:
        """Return the numbers of some rows."""
        norm_bias = self._norm_bias.rows(0, 1)[0].astype(np.float64)
        folded: Rows = self._matrix.rows(start, stop) @ norm_bias + self._bias.rows(0, 1)[0, start:stop]
        return folded.astype(np.float32)[:, None]


class Vector:
    """Give a source of one number a row as a vector."""

    def __init__(self, source: RowSource) -> None:
        """Take the source."""
        self._source = source
        self.shape = (source.shape[0],)

    def rows(self, start: int, stop: int) -> Rows:
        """Return the vector as the one row it is."""
        n_rows, step = self.shape[0], 1024
        parts = [self._source.rows(first, min(first + step, n_rows)) for first in range(0, n_rows, step)]
        return np.concatenate(parts).reshape(1, -1)
