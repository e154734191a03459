"""Rewrite and damage GGUF files for tests."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize

from converter.ggml_types import TENSOR_TYPES
from converter.gguf_file import read_header
from converter.gguf_stream import TensorToWrite, write_gguf
from converter.gguf_writer import TensorSpec
from converter.lazy_tensors import FileBytes, MappedRows, PackedRows


def edited(path: Path, out: Path, changes: dict[str, Any], without: Sequence[str] = ()) -> Path:
    """Write the model at `path` with changed metadata and without some tensors and keys; return the new path."""
    header = read_header(path)
    metadata = {key: value for key, value in (header.metadata | changes).items() if key not in without}
    with closing(FileBytes(path)) as file:
        tensors = [
            TensorToWrite(TensorSpec(info.name, info.shape, info.type), PackedRows(info, file), lambda rows: rows)
            for info in header.tensors.values()
            if info.name not in without
        ]
        write_gguf(out, metadata, tensors)
    return out


def tensor_bytes(path: Path) -> dict[str, bytes]:
    """Return the data of every tensor."""
    data = path.read_bytes()
    infos = read_header(path).tensors.values()
    return {info.name: data[info.offset : info.offset + info.nbytes] for info in infos}


def packed_rows(path: Path) -> list[bytes]:
    """Return all packed rows of all tensors, sorted."""
    tensors = read_header(path).tensors
    rows = []
    for name, data in tensor_bytes(path).items():
        width = tensors[name].nbytes // tensors[name].n_rows
        rows += [data[start : start + width] for start in range(0, len(data), width)]
    return sorted(rows)


def dequantized(path: Path, out: Path) -> Path:
    """Write the model at `path` with every tensor in f32 and return the new path."""
    header = read_header(path)
    file = FileBytes(path)

    def unpacked(info):
        type_ = GGMLQuantizationType(info.type.id)
        rows = MappedRows(PackedRows(info, file), lambda packed: dequantize(packed, type_))
        return TensorToWrite(TensorSpec(info.name, info.shape, TENSOR_TYPES["f32"]), rows, lambda values: values)

    write_gguf(out, header.metadata, [unpacked(info) for info in header.tensors.values()])
    file.close()
    return out
