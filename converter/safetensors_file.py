"""Read the header of a safetensors file strictly; tensor data is never touched here.

Format: https://huggingface.co/docs/safetensors/index#format
"""

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.errors import ConversionError

MAX_HEADER_BYTES = 100_000_000
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True)
class StoredTensor:
    """Tell where one tensor lies: file, shape, number format (`F32`, `F16`, `BF16`, ...) and first byte."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int


def read_safetensors_header(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of the file at `path`, each checked to lie inside the file and to overlap no other."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            start = file.read(64)
            header_size = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else 0
            if not 2 <= header_size <= min(MAX_HEADER_BYTES, size - 8) or start[8:9] != b"{":
                raise _invalid(path, _what_is_wrong(start, size, header_size))
            file.seek(8)
            header = file.read(header_size)
    except OSError as error:
        raise ConversionError("model_invalid", f"{path.name} cannot be read: {error.strerror}.") from error
    tensors = [_tensor(path, name, entry, 8 + header_size) for name, entry in _entries(path, header).items()]
    _check_places(path, tensors, 8 + header_size, size)
    return {tensor.name: tensor for tensor in tensors}


def data_bytes(tensor: StoredTensor) -> int:
    """Return the size of a tensor's data."""
    return math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype]


def _invalid(path: Path, reason: str) -> ConversionError:
    return ConversionError(
        "model_invalid", f"{path.name} is not a usable safetensors file: {reason}.", "Download it again."
    )


def _what_is_wrong(start: bytes, size: int, header_size: int) -> str:
    if size == 0:
        return "it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, the weights themselves were not downloaded"
    if start.startswith(b"GGUF"):
        return "it is a GGUF file"
    if start.startswith((b"PK\x03\x04", b"\x80\x02")):
        return "it is a PyTorch pickle"
    if start[8:9] == b"{" and header_size > size - 8:
        return "its header is cut off"
    return "it begins like no safetensors file"


def _entries(path: Path, header: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) != len(pairs):
            raise _invalid(path, "its header has a name twice")
        return entries

    try:
        entries = json.loads(header, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise _invalid(path, "its header is damaged") from None
    if not isinstance(entries, dict):
        raise _invalid(path, "its header is damaged")
    entries.pop("__metadata__", None)
    return entries


def _tensor(path: Path, name: str, entry: Any, data_start: int) -> StoredTensor:
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {}
    dtype = fields.get("dtype")
    shape: Any = fields.get("shape")
    offsets: Any = fields.get("data_offsets")
    if dtype not in ITEM_BYTES:
        raise _invalid(path, f"the tensor {name!r} has the unknown number format {dtype!r}")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise _invalid(path, f"the entry of the tensor {name!r} is damaged")
    tensor = StoredTensor(path, name, tuple(shape), dtype, data_start + offsets[0])
    if offsets[1] - offsets[0] != data_bytes(tensor):
        raise _invalid(path, f"the size of the tensor {name!r} does not fit its shape")
    return tensor


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 62 for item in value)


def _check_places(path: Path, tensors: list[StoredTensor], data_start: int, size: int) -> None:
    end = data_start
    for tensor in sorted(tensors, key=lambda tensor: (tensor.offset, data_bytes(tensor))):
        if tensor.offset < end:
            raise _invalid(path, f"the data of the tensor {tensor.name!r} overlaps another's")
        end = tensor.offset + data_bytes(tensor)
    if end > size:
        raise _invalid(path, f"it is cut off: {size} of {end} bytes are here")
