"""Convert a checkpoint to a GGUF file, the whole path from top to bottom."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from converter.architectures import phi3, phi3_v, phi3small, phimoe
from converter.base_fingerprint import fingerprint
from converter.checkpoint import Checkpoint
from converter.clip_companion import companion_file, companion_type
from converter.companion_path import companion_path
from converter.errors import ConversionError
from converter.ggml_types import FileType, file_type
from converter.gguf_files import FileToWrite, write_files
from converter.gguf_stream import Progress as Progress
from converter.gguf_stream import ProgressCallback, TensorToWrite
from converter.gguf_writer import TensorSpec, string
from converter.merge import open_checkpoint
from converter.metadata import (
    FINGERPRINT_KEY,
    SOURCE_ARCHITECTURE_KEY,
    WITH_PICTURES,
    general_metadata,
    vocabulary_metadata,
)
from converter.model_plan import ModelPlan
from converter.row_encoding import Quantizer, pack_rows
from converter.tensor_types import check_file_type, choose_types
from converter.tuned_projector import with_projector
from converter.vocab import load_vocabulary

MAX_THREADS = 8
ARCHITECTURES: dict[str, Callable[[Checkpoint], ModelPlan]] = {
    "phi3": phi3.plan,
    "phimoe": phimoe.plan,
    "phi3small": phi3small.plan,
    "phi3_v": phi3_v.plan,
}


@dataclass(frozen=True)
class ConversionResult:
    """Tell what a conversion made: `warnings` are sentences for the user, `companion` a vision model's second file."""

    path: Path
    architecture: str
    name: str
    file_type: str
    size_bytes: int
    n_tensors: int
    warnings: tuple[str, ...]
    companion: Path | None = None


def convert(
    checkpoint: Path,
    out: Path,
    *,
    outtype: str,
    quantizer: Quantizer | None = None,
    name: str | None = None,
    companion: Path | None = None,
    adapter: Path | None = None,
    progress: ProgressCallback | None = None,
    threads: int = 0,
) -> ConversionResult:
    """Convert the checkpoint in a directory to the GGUF file `out`.

    `outtype` is a file type of llama.cpp; all but f32, bf16, f16 and q8_0 need `quantizer`. Tensors are quantised from
    the numbers of the checkpoint, so the bytes are those llama.cpp's quantize makes of an unquantised conversion.
    A LoRA adapter of PEFT in the folder `adapter` is merged on the way.
    The picture part of a vision model goes to `companion`; where that is not given, to NAME.mmproj.gguf beside `out`.
    `progress` may raise `ConversionCancelled`. `threads` 0 means all processors, eight at most.
    """
    kind = file_type(outtype)
    check_file_type(kind, quantizer is not None)
    source = open_checkpoint(Path(checkpoint), adapter)
    try:
        plan = plan_conversion(source)
        vocabulary = load_vocabulary(source, plan.vocabulary_size)
        shown_name = name or default_name(Path(checkpoint), adapter)
        metadata = general_metadata(plan.architecture, shown_name, kind, vocabulary)
        metadata[SOURCE_ARCHITECTURE_KEY] = string(str(source.config["model_type"]))
        metadata[FINGERPRINT_KEY] = string(fingerprint(source))
        metadata |= plan.metadata | plan.late_metadata() | vocabulary_metadata(vocabulary)
        files = [FileToWrite(Path(out), metadata, _tensors_to_write(plan, kind, quantizer))]
        if source.config["model_type"] in WITH_PICTURES:
            files.append(_companion_to_write(source, companion or companion_path(Path(out)), kind, shown_name))
        sizes = write_files(files, progress, threads or min(os.cpu_count() or 1, MAX_THREADS))
    finally:
        source.close()
    no_tokenizer = ("The checkpoint has no tokenizer: the model understands token ids, but no text.",)
    warnings = plan.warnings + (no_tokenizer if vocabulary is None else vocabulary.warnings)
    return ConversionResult(
        Path(out),
        plan.architecture,
        shown_name,
        kind.name,
        sizes[0],
        len(plan.tensors),
        warnings,
        files[1].path if len(files) > 1 else None,
    )


def convert_companion(
    checkpoint: Path,
    out: Path,
    *,
    outtype: str,
    name: str | None = None,
    adapter: Path | None = None,
    progress: ProgressCallback | None = None,
) -> Path:
    """Write only the picture part that a conversion of a vision checkpoint to `outtype` has, and return its path.

    With an adapter the projector is the one that was trained beside it, where there is one.
    """
    source = Checkpoint(Path(checkpoint))
    try:
        source = source if adapter is None else with_projector(source, Path(adapter))
        shown_name = name or default_name(Path(checkpoint), adapter)
        write_files([_companion_to_write(source, Path(out), file_type(outtype), shown_name)], progress)
    finally:
        source.close()
    return Path(out)


def plan_conversion(checkpoint: Checkpoint) -> ModelPlan:
    """Plan the file of a checkpoint of any supported architecture."""
    model_type = checkpoint.config.get("model_type")
    if model_type not in ARCHITECTURES:
        raise ConversionError(
            "model_unsupported",
            f"Models of the type {model_type!r} cannot be converted.",
            f"Phidelity converts {', '.join(ARCHITECTURES)}; other models run from their GGUF files.",
        )
    return ARCHITECTURES[model_type](checkpoint)


def default_name(checkpoint: Path, adapter: Path | None = None) -> str:
    """Name a model that is given no name after its folder, and after the adapter that was merged into it."""
    name = folder_name(checkpoint if checkpoint.is_dir() else checkpoint.parent)
    return name if adapter is None else f"{name}-{folder_name(adapter)}"


def folder_name(folder: Path) -> str:
    """Return the name of a folder; a snapshot in the Hub's cache is named after the repository it is of."""
    folder = folder.resolve()
    if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
        return folder.parent.parent.name.split("--")[-1]
    return folder.name


def _companion_to_write(checkpoint: Checkpoint, path: Path, kind: FileType, name: str) -> FileToWrite:
    return FileToWrite(path, *companion_file(checkpoint, companion_type(kind), name))


def _tensors_to_write(plan: ModelPlan, kind: FileType, quantizer: Quantizer | None) -> list[TensorToWrite]:
    shapes = [(name, source.shape) for name, source in plan.tensors.items()]
    types = choose_types(shapes, kind, plan.shape)
    return [
        TensorToWrite(
            TensorSpec(name, source.shape, types[name]),
            source,
            partial(pack_rows, tensor_type=types[name], quantizer=quantizer),
        )
        for name, source in plan.tensors.items()
    ]
