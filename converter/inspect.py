"""Tell what a model, a checkpoint or an adapter on disk is, and what is wrong with it."""

import math
from dataclasses import dataclass
from pathlib import Path

from converter.adapter import WEIGHTS_FILE
from converter.adapter_config import CONFIG_FILE, read_adapter_config
from converter.adapter_file import base_name, is_adapter, rank
from converter.checkpoint import Checkpoint
from converter.convert import folder_name, plan_conversion
from converter.faults import Fault, find_faults
from converter.ggml_types import FILE_TYPES_BY_ID
from converter.gguf_file import GGUFHeader, read_header
from converter.lazy_tensors import row_count
from converter.safetensors_file import read_safetensors_header
from converter.vocab import load_vocabulary


@dataclass(frozen=True)
class Report:
    """Describe a model or an adapter.

    `kind` is `gguf`, `checkpoint`, `adapter` (a GGUF file) or `lora` (a directory of PEFT's). `warnings` say what a
    conversion could not keep; `base` is the model that an adapter was trained on.
    """

    path: Path
    kind: str
    name: str
    architecture: str
    file_type: str
    parameters: int
    size_bytes: int
    context: int
    has_chat_template: bool
    faults: tuple[Fault, ...]
    warnings: tuple[str, ...] = ()
    base: str = ""
    rank: int = 0


def inspect(path: Path) -> Report:
    """Look at a GGUF file, a checkpoint directory or an adapter's; only headers are read."""
    if path.is_dir() and (path / CONFIG_FILE).exists() and not (path / "config.json").exists():
        return _inspect_adapter(path)
    if path.is_dir() or path.suffix in (".safetensors", ".json"):
        return _inspect_checkpoint(path)
    return inspect_header(read_header(path))


def inspect_header(header: GGUFHeader) -> Report:
    """Describe a GGUF file whose header is already read."""
    file_type = FILE_TYPES_BY_ID.get(int(header.number("general.file_type", -1)))
    return Report(
        path=header.path,
        kind="adapter" if is_adapter(header) else "gguf",
        name=header.text("general.name", header.path.stem),
        architecture=header.architecture,
        file_type="" if file_type is None else file_type.name,
        parameters=sum(math.prod(info.shape) for info in header.tensors.values()),
        size_bytes=header.size,
        context=int(header.number(f"{header.architecture}.context_length")),
        has_chat_template=bool(header.text("tokenizer.chat_template")),
        faults=() if is_adapter(header) else find_faults(header),
        base=base_name(header) if is_adapter(header) else "",
        rank=rank(header) if is_adapter(header) else 0,
    )


def _inspect_adapter(path: Path) -> Report:
    config = read_adapter_config(path)
    file = path / WEIGHTS_FILE
    tensors = read_safetensors_header(file)
    return Report(
        path=path,
        kind="lora",
        name=folder_name(path),
        architecture="",
        file_type=", ".join(sorted({tensor.dtype.lower() for tensor in tensors.values()})),
        parameters=sum(math.prod(tensor.shape) for tensor in tensors.values()),
        size_bytes=file.stat().st_size,
        context=0,
        has_chat_template=False,
        faults=(),
        base=config.base_name,
        rank=config.rank,
    )


def _inspect_checkpoint(path: Path) -> Report:
    checkpoint = Checkpoint(path)
    try:
        plan = plan_conversion(checkpoint)
        vocabulary = load_vocabulary(checkpoint, plan.vocabulary_size)
    finally:
        checkpoint.close()
    faults = () if vocabulary else (Fault("tokenizer", "The tokenizer is missing.", False),)
    return Report(
        path=checkpoint.folder,
        kind="checkpoint",
        name=folder_name(checkpoint.folder),
        architecture=str(checkpoint.config["model_type"]),
        file_type=str(checkpoint.config.get("dtype") or checkpoint.config.get("torch_dtype") or ""),
        parameters=sum(row_count(source) * source.shape[-1] for source in plan.tensors.values()),
        size_bytes=checkpoint.size_bytes,
        context=int(checkpoint.config["max_position_embeddings"]),
        has_chat_template=vocabulary is not None and vocabulary.chat_template is not None,
        faults=faults,
        warnings=plan.warnings + (vocabulary.warnings if vocabulary else ()),
    )
