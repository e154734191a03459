"""Look at what the user wants to import, before anything is done with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from app.library.quantizations import QUANTIZATIONS, UNQUANTIZED
from converter.adapter_file import is_adapter
from converter.checkpoint import Checkpoint
from converter.clip_companion import companion_file, companion_type
from converter.companion_path import companion_path
from converter.convert import ARCHITECTURES
from converter.errors import ConversionError
from converter.ggml_types import file_type
from converter.gguf_file import DEFAULT_ALIGNMENT, GGUFHeader, TensorInfo, read_header
from converter.gguf_writer import lay_out, string
from converter.metadata import WITH_PICTURES
from converter.model_plan import ModelPlan
from converter.tensor_types import ModelShape, choose_types
from engine.library.memory_estimate import estimate_memory
from engine.library.scanner import quantization_name

AS_IT_IS = ""


@dataclass(frozen=True)
class Estimate:
    """Say what a model will take: on disk, and in memory with a conversation of 4,096 tokens.

    The companion of a vision model is counted in both.
    """

    size_bytes: int
    memory_bytes: int


@dataclass(frozen=True)
class ImportSource:
    """Describe a checkpoint or a GGUF file that can be imported.

    `estimates` holds what the model takes in each quantisation that it can be brought to, none for a GGUF file that is
    quantised already; a GGUF file has what it takes now under `AS_IT_IS`.
    """

    path: Path
    kind: Literal["checkpoint", "gguf"]
    name: str
    quantization: str = ""
    estimates: Mapping[str, Estimate] = field(default_factory=dict)


def inspect(path: Path) -> ImportSource:
    """Read the headers of what lies at `path`. Raise ConversionError for what cannot be imported."""
    if path.is_file() and path.suffix.lower() == ".gguf":
        return _inspect_gguf(path)
    if path.is_file() and path.suffix.lower() not in (".safetensors", ".json"):
        raise ConversionError(
            "model_invalid",
            f"{path.name} is neither a checkpoint nor a GGUF file.",
            "Choose the folder with config.json and safetensors files, or a file that ends with .gguf.",
        )
    return _inspect_checkpoint(path)


def _inspect_checkpoint(path: Path) -> ImportSource:
    checkpoint = Checkpoint(path)
    try:
        model_type = checkpoint.config.get("model_type")
        if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
            raise ConversionError(
                "model_unsupported",
                f"Models of the type {model_type!r} cannot be converted.",
                "Import a GGUF file of this model instead.",
            )
        plan = ARCHITECTURES[model_type](checkpoint)
        companions = {
            name: _companion_bytes(checkpoint, name) if model_type in WITH_PICTURES else 0 for name in QUANTIZATIONS
        }
    finally:
        checkpoint.close()
    header = _planned_header(plan)
    estimates = {name: _estimate(header, plan.shape, name, companions[name]) for name in QUANTIZATIONS}
    return ImportSource(checkpoint.folder, "checkpoint", _model_name(checkpoint.folder), estimates=estimates)


def _inspect_gguf(path: Path) -> ImportSource:
    header = read_header(path)
    present = quantization_name(header)
    beside = companion_path(path)
    companion_bytes = beside.stat().st_size if beside.is_file() else 0
    estimates = {AS_IT_IS: Estimate(header.size + companion_bytes, estimate_memory(header) + companion_bytes)}
    if present.lower() in UNQUANTIZED and not is_adapter(header):
        shape = ModelShape(
            *(
                int(header.number(f"{header.architecture}.{key}"))
                for key in ("block_count", "attention.head_count", "attention.head_count_kv", "expert_count")
            )
        )
        smaller = [name for name in QUANTIZATIONS if name not in UNQUANTIZED]
        estimates |= {name: _estimate(header, shape, name, companion_bytes) for name in smaller}
    return ImportSource(path, "gguf", header.text("general.name") or path.stem, present, estimates)


def _planned_header(plan: ModelPlan) -> GGUFHeader:
    """Describe the file that a plan leads to, as if it were there already."""
    kind = file_type("f32")
    types = choose_types([(name, source.shape) for name, source in plan.tensors.items()], kind, plan.shape)
    tensors = {name: TensorInfo(name, source.shape, types[name], 0) for name, source in plan.tensors.items()}
    metadata = {"general.architecture": string(plan.architecture), **plan.metadata}
    return GGUFHeader(Path(), 3, 0, 0, DEFAULT_ALIGNMENT, metadata, tensors)


def _companion_bytes(checkpoint: Checkpoint, quantization: str) -> int:
    """Return how large the companion of a vision checkpoint becomes."""
    metadata, tensors = companion_file(checkpoint, companion_type(file_type(quantization)), "")
    return lay_out(metadata, [tensor.spec for tensor in tensors]).size


def _estimate(header: GGUFHeader, shape: ModelShape, quantization: str, companion_bytes: int) -> Estimate:
    """Add up the tensors as they will be written, and what a conversation needs beside them."""
    types = choose_types([(name, info.shape) for name, info in header.tensors.items()], file_type(quantization), shape)
    tensors = {name: replace(info, type=types[name]) for name, info in header.tensors.items()}
    size = sum(info.nbytes for info in tensors.values())
    memory = estimate_memory(replace(header, size=size, tensors=tensors))
    return Estimate(size + companion_bytes, memory + companion_bytes)


def _model_name(folder: Path) -> str:
    """Name a model after its folder; a snapshot in the Hub's cache is named after the repository it is of."""
    folder = folder.resolve()
    if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
        return folder.parent.parent.name.split("--")[-1]
    return folder.name
