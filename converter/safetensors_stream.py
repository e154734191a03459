"""Write tensors to safetensors files piece by piece, in parts of a few gigabytes with an index, as the Hub has them."""

import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.checkpoint import INDEX_FILE, SINGLE_FILE
from converter.ggml_types import TENSOR_TYPES
from converter.gguf_stream import Progress, ProgressCallback
from converter.lazy_tensors import RowSource, row_count, rows_per_chunk
from converter.row_encoding import pack_rows

PART_BYTES = 4_500_000_000
ALIGNMENT = 8
TYPE_NAMES = {"F32": "f32", "F16": "f16", "BF16": "bf16"}


@dataclass(frozen=True)
class TensorToStore:
    """Announce a tensor; `dtype` is `F32`, `F16` or `BF16`."""

    name: str
    source: RowSource
    dtype: str

    @property
    def nbytes(self) -> int:
        """Return the size of its data."""
        return row_count(self.source) * TENSOR_TYPES[TYPE_NAMES[self.dtype]].row_bytes(self.source.shape[-1])


def write_safetensors(
    folder: Path,
    tensors: Sequence[TensorToStore],
    progress: ProgressCallback | None = None,
    part_bytes: int = PART_BYTES,
) -> None:
    """Write `tensors` into `folder`, one file or several with an index; `progress` is called per chunk of rows."""
    parts = _parts(tensors, part_bytes)
    count = len(parts)
    names = [SINGLE_FILE] if count == 1 else [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]
    total = sum(tensor.nbytes for tensor in tensors)
    done, done_bytes = 0, 0
    for name, part in zip(names, parts, strict=True):
        with (folder / name).open("wb") as file:
            file.write(_header(part))
            for tensor in part:
                n_rows, step = row_count(tensor.source), rows_per_chunk(tensor.source.shape[-1])
                for start in range(0, n_rows, step):
                    rows = tensor.source.rows(start, min(start + step, n_rows))
                    packed = pack_rows(rows, TENSOR_TYPES[TYPE_NAMES[tensor.dtype]], None)
                    file.write(packed.data)
                    done_bytes += packed.nbytes
                    if progress is not None:
                        progress(Progress(tensor.name, done, len(tensors), done_bytes, total))
                done += 1
            file.flush()
            os.fsync(file.fileno())
    if count > 1:
        _write_index(folder, names, parts, total)


def _parts(tensors: Sequence[TensorToStore], part_bytes: int) -> list[list[TensorToStore]]:
    parts: list[list[TensorToStore]] = [[]]
    size = 0
    for tensor in tensors:
        if parts[-1] and size + tensor.nbytes > part_bytes:
            parts.append([])
            size = 0
        parts[-1].append(tensor)
        size += tensor.nbytes
    return parts


def _header(part: Sequence[TensorToStore]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in part:
        end = offset + tensor.nbytes
        entries[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.source.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


def _write_index(folder: Path, names: Sequence[str], parts: Sequence[Sequence[TensorToStore]], total: int) -> None:
    weight_map = {tensor.name: name for name, part in zip(names, parts, strict=True) for tensor in part}
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2), "utf-8")
