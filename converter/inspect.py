"""Tell what a model file or checkpoint directory is, and what is wrong with it."""

import math
from dataclasses import dataclass
from pathlib import Path

from converter.checkpoint import Checkpoint
from converter.convert import folder_name, plan_conversion
from converter.faults import Fault, find_faults
from converter.ggml_types import FILE_TYPES_BY_ID
from converter.gguf_file import GGUFHeader, read_header
from converter.lazy_tensors import row_count
from converter.vocab import load_vocabulary


@dataclass(frozen=True)
class Report:
    """Describe a model; `kind` is `gguf` or `checkpoint`, `warnings` say what a conversion could not keep."""

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


def inspect(path: Path) -> Report:
    """Look at a GGUF file or a checkpoint directory; only headers are read."""
    if path.is_dir() or path.suffix in (".safetensors", ".json"):
        return _inspect_checkpoint(path)
    return inspect_header(read_header(path))


def inspect_header(header: GGUFHeader) -> Report:
    """Describe a GGUF file whose header is already read."""
    file_type = FILE_TYPES_BY_ID.get(int(header.number("general.file_type", -1)))
    return Report(
        path=header.path,
        kind="gguf",
        name=header.text("general.name", header.path.stem),
        architecture=header.architecture,
        file_type="" if file_type is None else file_type.name,
        parameters=sum(math.prod(info.shape) for info in header.tensors.values()),
        size_bytes=header.size,
        context=int(header.number(f"{header.architecture}.context_length")),
        has_chat_template=bool(header.text("tokenizer.chat_template")),
        faults=find_faults(header),
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
