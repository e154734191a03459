"""Read the header of a GGUF file strictly: metadata, tensor names, shapes, types and places.

Tensor data is never touched and nothing is mapped into memory. Every count and size is checked against the file before
memory is spent on it, so a hostile file costs no more than a small one.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little endian.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from converter.errors import ConversionError
from converter.ggml_types import TENSOR_TYPES_BY_ID, TensorType

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
ALIGNMENT_KEY = "general.alignment"
MAX_NAME_BYTES = 63
MAX_DIMENSIONS = 4
FIRST_READ_BYTES = 8 << 20
MAX_HEADER_BYTES = 1 << 30

Scalar = int | float | bool | str
Array = NDArray[np.generic]


class MetadataType(IntEnum):
    """Number the types of metadata values as the format does."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


NUMBER_FORMATS = {
    MetadataType.UINT8: "<u1",
    MetadataType.INT8: "<i1",
    MetadataType.UINT16: "<u2",
    MetadataType.INT16: "<i2",
    MetadataType.UINT32: "<u4",
    MetadataType.INT32: "<i4",
    MetadataType.FLOAT32: "<f4",
    MetadataType.BOOL: "|b1",
    MetadataType.UINT64: "<u8",
    MetadataType.INT64: "<i8",
    MetadataType.FLOAT64: "<f8",
}


class StringArray:
    """Hold an array of strings as it is stored and decode it only when it is read.

    Bytes that are not UTF-8 survive reading and writing as surrogate escapes.
    """

    def __init__(self, packed: bytes, count: int) -> None:
        """Keep `count` strings, each packed as a 64-bit length and its bytes."""
        self.packed = packed
        self._count = count
        self._strings: list[str] | None = None

    @classmethod
    def of(cls, strings: Sequence[str]) -> "StringArray":
        """Pack `strings`."""
        return cls(b"".join(pack_string(text) for text in strings), len(strings))

    def __len__(self) -> int:
        """Return how many strings there are."""
        return self._count

    def __eq__(self, other: object) -> bool:
        """Compare the packed bytes."""
        return isinstance(other, StringArray) and self.packed == other.packed

    __hash__ = None  # type: ignore[assignment]

    def decoded(self) -> list[str]:
        """Return all strings, decoded once."""
        if self._strings is None:
            strings, position = [], 0
            for _ in range(self._count):
                (length,) = struct.unpack_from("<Q", self.packed, position)
                position += 8 + length
                strings.append(self.packed[position - length : position].decode("utf-8", "surrogateescape"))
            self._strings = strings
        return self._strings


@dataclass(frozen=True)
class MetadataValue:
    """Hold one metadata value with its exact type; `element` is the type of an array's elements."""

    type: MetadataType
    value: Scalar | Array | StringArray
    element: MetadataType | None = None


@dataclass(frozen=True)
class TensorInfo:
    """Describe one tensor; `shape` has the rows' length last, `offset` counts from the start of the file."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def n_rows(self) -> int:
        """Return how many rows the tensor has, all outer dimensions taken together."""
        return math.prod(self.shape[:-1])

    @property
    def nbytes(self) -> int:
        """Return the size of the data."""
        return self.n_rows * self.type.row_bytes(self.shape[-1])


@dataclass(frozen=True)
class GGUFHeader:
    """Hold everything of a GGUF file but the tensor data."""

    path: Path
    version: int
    size: int
    data_offset: int
    alignment: int
    metadata: dict[str, MetadataValue]
    tensors: dict[str, TensorInfo]

    def get(self, key: str) -> Scalar | Array | StringArray | None:
        """Return the value of `key`, or None."""
        found = self.metadata.get(key)
        return None if found is None else found.value

    def text(self, key: str, default: str = "") -> str:
        """Return the string of `key`, or `default` where it is missing or no string."""
        value = self.get(key)
        return value if isinstance(value, str) else default

    def number(self, key: str, default: int | float = 0) -> int | float:
        """Return the number of `key`, or `default` where it is missing or no finite number."""
        value = self.get(key)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return cast(int | float, value) if is_number else default

    @property
    def architecture(self) -> str:
        """Return `general.architecture`."""
        return self.text("general.architecture")


def pack_string(text: str) -> bytes:
    """Return `text` as the format stores it."""
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(data)) + data


def align(position: int, alignment: int) -> int:
    """Round `position` up to the next multiple of `alignment`."""
    return -(-position // alignment) * alignment


def read_header(path: Path) -> GGUFHeader:
    """Read and check the header of the GGUF file at `path`, and that the file holds all data it announces."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            wanted = FIRST_READ_BYTES
            while True:
                file.seek(0)
                try:
                    return _HeaderParser(path, file.read(min(wanted, size)), size).parse()
                except _MoreBytesNeeded:
                    wanted *= 8
                    if wanted > MAX_HEADER_BYTES:
                        raise _invalid(path, "its header is larger than any real model's") from None
    except FileNotFoundError:
        raise ConversionError("model_not_found", f"There is no file {path.name}.", "Choose another model.") from None
    except OSError as error:
        reason = "it is a directory" if path.is_dir() else (error.strerror or "unknown").lower()
        remedy = "Choose a .gguf file, or import the checkpoint's directory."
        raise ConversionError("model_invalid", f"{path.name} cannot be read: {reason}.", remedy) from error


class _MoreBytesNeeded(Exception):
    """Ask for a longer prefix of the file."""


def _invalid(path: Path, reason: str) -> ConversionError:
    return ConversionError(
        "model_invalid", f"{path.name} is not a usable GGUF file: {reason}.", "Download or convert it again."
    )


class _HeaderParser:
    """Walk through the first bytes of a file once."""

    def __init__(self, path: Path, data: bytes, size: int) -> None:
        self.path = path
        self.data = data
        self.size = size
        self.position = len(MAGIC)

    def parse(self) -> GGUFHeader:
        self._check_magic()
        version = self._number("<I")
        if version not in (2, 3):
            big_endian = version in (2 << 24, 3 << 24)
            self._fail("it is big endian" if big_endian else f"its format version {version} is unknown")
        n_tensors, n_values = self._number("<Q"), self._number("<Q")
        # The least a tensor takes: name length, dimension count, a dimension, type, offset; and a value: key, type.
        self._check_fits(n_tensors, 32, "tensors")
        self._check_fits(n_values, 13, "metadata values")
        metadata = self._metadata(n_values)
        alignment = self._alignment(metadata)
        relative = [self._tensor(alignment) for _ in range(n_tensors)]
        data_offset = align(self.position, alignment)
        tensors = self._placed(relative, data_offset)
        return GGUFHeader(self.path, version, self.size, data_offset, alignment, metadata, tensors)

    def _check_magic(self) -> None:
        if self.size == 0:
            self._fail("it is empty")
        start = self.data[:64]
        if start[:4] == MAGIC:
            return
        looks = {
            b"PK\x03\x04": "it is a zip archive, perhaps a PyTorch checkpoint",
            b"\x80\x02": "it is a Python pickle, perhaps a PyTorch checkpoint",
            b"version https://git-lfs": "it is a Git LFS pointer, the model itself was not downloaded",
            b"<": "it is a web page, the download went wrong",
            b"tjgg": "it is in a format of 2023 that came before GGUF",
            b"lmgg": "it is in a format of 2023 that came before GGUF",
        }
        if start[8:9] == b"{":
            self._fail("it is a safetensors file; import the folder it lies in")
        self._fail(next((text for magic, text in looks.items() if start.startswith(magic)), "it begins like no model"))

    def _fail(self, reason: str) -> NoReturn:
        raise _invalid(self.path, reason)

    def _check_fits(self, count: int, least_bytes: int, what: str) -> None:
        if count * least_bytes > self.size - self.position:
            self._fail(f"it announces {count} {what}, more than the file can hold")

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.data):
            if end > self.size:
                self._fail("its header is cut off")
            raise _MoreBytesNeeded
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def _number(self, format_: str) -> int:
        (value,) = struct.unpack(format_, self._take(struct.calcsize(format_)))
        return cast(int, value)

    def _string(self) -> str:
        return self._take(self._number("<Q")).decode("utf-8", "surrogateescape")

    def _metadata(self, count: int) -> dict[str, MetadataValue]:
        metadata: dict[str, MetadataValue] = {}
        for _ in range(count):
            key = self._string()
            if key in metadata:
                self._fail(f"its metadata has {key!r} twice")
            metadata[key] = self._value(self._type(key), key)
        return metadata

    def _type(self, key: str) -> MetadataType:
        number = self._number("<I")
        try:
            return MetadataType(number)
        except ValueError:
            self._fail(f"the value of {key!r} has the unknown type {number}")

    def _value(self, type_: MetadataType, key: str) -> MetadataValue:
        if type_ is MetadataType.STRING:
            return MetadataValue(type_, self._string())
        if type_ is MetadataType.ARRAY:
            return self._array(key)
        dtype = np.dtype(NUMBER_FORMATS[type_])
        return MetadataValue(type_, np.frombuffer(self._take(dtype.itemsize), dtype)[0].item())

    def _array(self, key: str) -> MetadataValue:
        element = self._type(key)
        count = self._number("<Q")
        if element is MetadataType.ARRAY:
            self._fail(f"the value of {key!r} is an array of arrays")
        if element is MetadataType.STRING:
            self._check_fits(count, 8, f"strings in {key!r}")
            return MetadataValue(MetadataType.ARRAY, self._strings(count), element)
        dtype = np.dtype(NUMBER_FORMATS[element])
        self._check_fits(count, dtype.itemsize, f"numbers in {key!r}")
        numbers = np.frombuffer(self._take(count * dtype.itemsize), dtype)
        return MetadataValue(MetadataType.ARRAY, numbers, element)

    def _strings(self, count: int) -> StringArray:
        data, start, position = self.data, self.position, self.position
        unpack_length = struct.Struct("<Q").unpack_from
        try:
            for _ in range(count):
                position += 8 + unpack_length(data, position)[0]
        except (struct.error, OverflowError):
            position = len(data) + 1
        if position > len(data):
            if len(data) == self.size:
                self._fail("its header is cut off")
            raise _MoreBytesNeeded
        self.position = position
        return StringArray(data[start:position], count)

    def _alignment(self, metadata: dict[str, MetadataValue]) -> int:
        found = metadata.get(ALIGNMENT_KEY)
        alignment = DEFAULT_ALIGNMENT if found is None else found.value
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 16 or alignment & (alignment - 1):
            self._fail(f"its alignment is {alignment!r}")
        return alignment

    def _tensor(self, alignment: int) -> TensorInfo:
        name = self._string()
        if len(name.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES:
            self._fail(f"a tensor's name has more than {MAX_NAME_BYTES} bytes")
        n_dimensions = self._number("<I")
        if not 1 <= n_dimensions <= MAX_DIMENSIONS:
            self._fail(f"the tensor {name!r} has {n_dimensions} dimensions")
        shape = tuple(self._number("<Q") for _ in range(n_dimensions))[::-1]
        type_id = self._number("<I")
        offset = self._number("<Q")
        type_ = TENSOR_TYPES_BY_ID.get(type_id)
        if type_ is None:
            self._fail(f"the tensor {name!r} has the unknown type {type_id}")
        if min(shape) == 0 or shape[-1] % type_.block:
            self._fail(f"the tensor {name!r} has the shape {shape}, impossible for {type_.name}")
        if offset % alignment:
            self._fail(f"the data of {name!r} is not aligned")
        return TensorInfo(name, shape, type_, offset)

    def _placed(self, relative: list[TensorInfo], data_offset: int) -> dict[str, TensorInfo]:
        tensors: dict[str, TensorInfo] = {}
        end = data_offset
        for info in sorted(relative, key=lambda info: info.offset):
            placed = TensorInfo(info.name, info.shape, info.type, data_offset + info.offset)
            if placed.offset < end:
                self._fail(f"the data of {info.name!r} overlaps another tensor's")
            end = placed.offset + placed.nbytes
            if end > self.size:
                self._fail(f"it is cut off: {self.size} bytes are here, {info.name!r} reaches to {end}")
            if placed.name in tensors:
                self._fail(f"it has the tensor {info.name!r} twice")
            tensors[placed.name] = placed
        return {info.name: tensors[info.name] for info in relative}
