"""Read tensors a few rows at a time with plain file reads, and rearrange rows on the way.

Every source has a `shape` (the rows' length last) and gives `rows(start, stop)` as a two-dimensional array, all outer
dimensions taken together. Numbers come as float32, rows of an already packed GGUF as bytes. Nothing holds more than the
rows that were asked for, so peak memory does not depend on the model's size. Sources may be read by several threads.
"""

import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from converter.errors import ConversionError
from converter.gguf_file import TensorInfo
from converter.safetensors_file import ITEM_BYTES, StoredTensor

Rows = NDArray[Any]
CHUNK_VALUES = 2 << 20


class RowSource(Protocol):
    """Give rows of one tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the tensor's shape, the rows' length last."""

    def rows(self, start: int, stop: int) -> Rows:
        """Return the rows from `start` to before `stop`."""


def row_count(source: RowSource) -> int:
    """Return how many rows `source` has."""
    return math.prod(source.shape[:-1])


def rows_per_chunk(columns: int) -> int:
    """Return how many rows of `columns` numbers are worked on at a time (8 MiB of float32)."""
    return max(1, CHUNK_VALUES // columns)


class FileBytes:
    """Read ranges of a file from any thread; the file is opened at the first read."""

    def __init__(self, path: Path) -> None:
        """Remember the path."""
        self._path = path
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset` on."""
        try:
            with self._lock:
                if self._file is None:
                    self._file = self._path.open("rb", buffering=0)
                self._file.seek(offset)
                data = self._file.read(count)
                while len(data) < count and (more := self._file.read(count - len(data))):
                    data += more
        except OSError as error:
            raise ConversionError("model_invalid", f"{self._path.name} cannot be read: {error.strerror}.") from error
        if len(data) < count:
            raise ConversionError("model_invalid", f"{self._path.name} was cut off while it was being read.")
        return data

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


class CheckpointRows:
    """Give the rows of a tensor of a safetensors file as float32."""

    def __init__(self, tensor: StoredTensor, file: FileBytes) -> None:
        """Take where the tensor lies and the file to read."""
        self._tensor = tensor
        self._file = file
        self.shape = tensor.shape

    def rows(self, start: int, stop: int) -> Rows:
        """Return rows as float32; numbers that are not finite are refused."""
        columns = self.shape[-1]
        row_bytes = columns * ITEM_BYTES[self._tensor.dtype]
        data = self._file.read(self._tensor.offset + start * row_bytes, (stop - start) * row_bytes)
        rows = to_float32(data, self._tensor.dtype).reshape(stop - start, columns)
        # A sum is cheaper than a test of each number; it is not finite if any of them is not.
        with np.errstate(over="ignore", invalid="ignore"):
            suspicious = not np.isfinite(rows.sum())
        if suspicious and not np.isfinite(rows).all():
            raise ConversionError(
                "model_invalid",
                f"The weights are damaged: {self._tensor.name} has numbers that are infinite or not a number.",
                "Take an earlier state of the training, or download the checkpoint again.",
            )
        return rows


def to_float32(data: bytes, dtype: str) -> Rows:
    """Return the numbers stored in `data` as float32; `dtype` is `F32`, `F16` or `BF16`."""
    if dtype == "F32":
        return np.frombuffer(data, "<f4")
    if dtype == "F16":
        return np.frombuffer(data, "<f2").astype(np.float32)
    assert dtype == "BF16"
    bits = np.frombuffer(data, "<u2").astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


class PackedRows:
    """Give the rows of a tensor of a GGUF file as the bytes they are packed in."""

    def __init__(self, info: TensorInfo, file: FileBytes) -> None:
        """Take where the tensor lies and the file to read."""
        self._info = info
        self._file = file
        self.shape = info.shape

    def rows(self, start: int, stop: int) -> Rows:
        """Return rows of bytes."""
        row_bytes = self._info.type.row_bytes(self.shape[-1])
        data = self._file.read(self._info.offset + start * row_bytes, (stop - start) * row_bytes)
        return np.frombuffer(data, np.uint8).reshape(stop - start, row_bytes)


class ArrayRows:
    """Give the rows of an array in memory."""

    def __init__(self, array: Rows, shape: tuple[int, ...] | None = None) -> None:
        """Take the array; rows of bytes tell the shape of the tensor they stand for."""
        self._rows = np.atleast_2d(array).reshape(-1, array.shape[-1])
        self.shape = array.shape if shape is None else shape

    def rows(self, start: int, stop: int) -> Rows:
        """Return a view of rows."""
        return self._rows[start:stop]


class SelectedRows:
    """Give the rows of another source in another order."""

    def __init__(self, source: RowSource, order: NDArray[np.int64], shape: tuple[int, ...] | None = None) -> None:
        """Take the source and, for each row given, which of its rows it is."""
        self._source = source
        self._order = order
        self.shape = (len(order), source.shape[-1]) if shape is None else shape

    def rows(self, start: int, stop: int) -> Rows:
        """Return rows, read as one range that covers them: the order must not jump far."""
        wanted = self._order[start:stop]
        first, last = int(wanted.min()), int(wanted.max())
        return self._source.rows(first, last + 1)[wanted - first]


class JoinedRows:
    """Give the rows of several sources one after another."""

    def __init__(self, sources: Sequence[RowSource], shape: tuple[int, ...] | None = None) -> None:
        """Take sources of the same row length."""
        self._sources = sources
        counts = [row_count(source) for source in sources]
        self._starts = [sum(counts[:index]) for index in range(len(counts) + 1)]
        self.shape = (self._starts[-1], sources[0].shape[-1]) if shape is None else shape

    def rows(self, start: int, stop: int) -> Rows:
        """Return rows, which may come from two or more sources."""
        parts = [
            source.rows(max(start, first) - first, min(stop, end) - first)
            for source, first, end in zip(self._sources, self._starts, self._starts[1:], strict=False)
            if first < stop and start < end
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class MappedRows:
    """Give the rows of another source after a calculation that keeps their number and length."""

    def __init__(self, source: RowSource, calculation: Callable[[Rows], Rows]) -> None:
        """Take the source and the calculation."""
        self._source = source
        self._calculation = calculation
        self.shape = source.shape

    def rows(self, start: int, stop: int) -> Rows:
        """Return calculated rows."""
        return self._calculation(self._source.rows(start, stop))


def slice_rows(source: RowSource, start: int, stop: int) -> RowSource:
    """Return the rows of `source` from `start` to before `stop` as a source of its own."""
    return SelectedRows(source, np.arange(start, stop))


def zeros(length: int) -> RowSource:
    """Return a vector of zeros."""
    return ArrayRows(np.zeros(length, np.float32))
