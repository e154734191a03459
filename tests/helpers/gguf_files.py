"""Rewrite and damage GGUF files for tests."""

from pathlib import Path

from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize

from converter.ggml_types import TENSOR_TYPES
from converter.gguf_file import read_header
from converter.gguf_stream import TensorToWrite, write_gguf
from converter.gguf_writer import TensorSpec
from converter.lazy_tensors import FileBytes, MappedRows, PackedRows


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
