"""Lay out a GGUF file: the bytes of its header and the place of every tensor."""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from converter.ggml_types import TensorType
from converter.gguf_file import (
    DEFAULT_ALIGNMENT,
    MAGIC,
    NUMBER_FORMATS,
    MetadataType,
    MetadataValue,
    StringArray,
    TensorInfo,
    align,
    pack_string,
)

VERSION = 3


@dataclass(frozen=True)
class TensorSpec:
    """Announce one tensor of a file to be written; `shape` has the rows' length last."""

    name: str
    shape: tuple[int, ...]
    type: TensorType


@dataclass(frozen=True)
class Layout:
    """Hold the header's bytes, padded to the first tensor, the tensors in order of place, and the file's size."""

    header: bytes
    tensors: tuple[TensorInfo, ...]
    size: int


def lay_out(metadata: Mapping[str, MetadataValue], tensors: Sequence[TensorSpec]) -> Layout:
    """Place `tensors` one after another behind the header that announces them; data of each is padded to 32 bytes."""
    offset = 0
    infos = []
    for spec in tensors:
        infos.append(TensorInfo(spec.name, spec.shape, spec.type, offset))
        offset += align(infos[-1].nbytes, DEFAULT_ALIGNMENT)
    parts = [MAGIC, struct.pack("<IQQ", VERSION, len(infos), len(metadata))]
    parts += [pack_string(key) + struct.pack("<I", value.type) + _pack(value) for key, value in metadata.items()]
    parts += [_pack_info(info) for info in infos]
    header = b"".join(parts)
    header += bytes(align(len(header), DEFAULT_ALIGNMENT) - len(header))
    placed = tuple(TensorInfo(info.name, info.shape, info.type, len(header) + info.offset) for info in infos)
    return Layout(header, placed, len(header) + offset)


def _pack(value: MetadataValue) -> bytes:
    if value.type is MetadataType.STRING:
        return pack_string(str(value.value))
    if value.type is not MetadataType.ARRAY:
        return np.array(value.value, NUMBER_FORMATS[value.type]).tobytes()
    assert value.element is not None
    if isinstance(value.value, StringArray):
        return struct.pack("<IQ", value.element, len(value.value)) + value.value.packed
    numbers = np.asarray(value.value, NUMBER_FORMATS[value.element])
    return struct.pack("<IQ", value.element, math.prod(numbers.shape)) + numbers.tobytes()


def _pack_info(info: TensorInfo) -> bytes:
    dimensions = struct.pack(f"<I{len(info.shape)}Q", len(info.shape), *reversed(info.shape))
    return pack_string(info.name) + dimensions + struct.pack("<IQ", info.type.id, info.offset)


def string(value: str) -> MetadataValue:
    """Make a string value."""
    return MetadataValue(MetadataType.STRING, value)


def uint32(value: int) -> MetadataValue:
    """Make an unsigned 32-bit value."""
    return MetadataValue(MetadataType.UINT32, value)


def float32(value: float) -> MetadataValue:
    """Make a 32-bit float value."""
    return MetadataValue(MetadataType.FLOAT32, float(np.float32(value)))


def boolean(value: bool) -> MetadataValue:
    """Make a boolean value."""
    return MetadataValue(MetadataType.BOOL, value)


def strings(values: Sequence[str]) -> MetadataValue:
    """Make an array of strings."""
    return MetadataValue(MetadataType.ARRAY, StringArray.of(values), MetadataType.STRING)


def numbers(values: Sequence[int | float], element: MetadataType) -> MetadataValue:
    """Make an array of numbers or booleans."""
    return MetadataValue(MetadataType.ARRAY, np.array(values, NUMBER_FORMATS[element]), element)
