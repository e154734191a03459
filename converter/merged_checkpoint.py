"""Write a checkpoint with a LoRA adapter merged into it as a checkpoint directory."""

import errno
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from converter.checkpoint import FLOAT_TYPES, INDEX_FILE, Checkpoint
from converter.errors import ConversionError
from converter.gguf_stream import DISK_RESERVE_BYTES, ProgressCallback
from converter.merge import MergedCheckpoint, open_checkpoint
from converter.safetensors_stream import TYPE_NAMES, TensorToStore, write_safetensors

PART_SUFFIX = ".part"
DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
# Everything but weights: settings, tokenizers (sentencepiece, tiktoken), templates, the model's own code and card.
COPIED = (".json", ".model", ".tiktoken", ".jinja", ".txt", ".py", ".md")
NOT_COPIED = (INDEX_FILE, "pytorch_model.bin.index.json", "config.json")


@dataclass(frozen=True)
class MergeResult:
    """Tell what a merge made: the directory, and how many of its tensors are not the base's."""

    path: Path
    n_tensors: int
    n_changed: int
    size_bytes: int


def write_merged(
    checkpoint: Path,
    adapter: Path,
    out: Path,
    *,
    outtype: str | None = None,
    progress: ProgressCallback | None = None,
) -> MergeResult:
    """Write `checkpoint` with `adapter` merged into it as the directory `out`, which appears when it is complete.

    `outtype` is f32, bf16 or f16; None keeps each tensor as the base has it. Tokenizer and settings are the base's.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConversionError("bad_request", f"There is already something at {out.name}.", "Choose another folder.")
    if outtype is not None and outtype not in TYPE_NAMES.values():
        raise ConversionError(
            "bad_request", f"A checkpoint cannot be written as {outtype}.", "Choose f32, bf16 or f16."
        )
    merged = open_checkpoint(checkpoint, adapter)
    assert isinstance(merged, MergedCheckpoint)
    try:
        tensors = _tensors(merged, outtype)
        part = out.with_name(out.name + PART_SUFFIX)
        try:
            _check_disk(out.parent, tensors)
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            write_safetensors(part, tensors, progress)
            _copy_files(merged, part, outtype)
            if out.exists():
                out.rmdir()
            part.rename(out)
        except OSError as error:
            code = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "bad_request"
            sentence = f"{out.name} cannot be written: {error.strerror}."
            raise ConversionError(code, sentence, "Free some space or choose another folder.") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        touched = len(merged.touched)
    finally:
        merged.close()
    return MergeResult(out, len(tensors), touched, sum(tensor.nbytes for tensor in tensors))


def _tensors(merged: Checkpoint, outtype: str | None) -> list[TensorToStore]:
    """List the tensors with numbers; buffers of whole numbers are made anew by whatever loads the model."""
    chosen = {theirs: name for name, theirs in TYPE_NAMES.items()}.get(outtype or "")
    shapes = {name: merged.shape(name) for name in merged.names() if merged.dtype(name) in FLOAT_TYPES}
    return [
        TensorToStore(name, merged.tensor(name, shape), chosen or merged.dtype(name))
        for name, shape in shapes.items()
        if shape and 0 not in shape
    ]


def _check_disk(folder: Path, tensors: list[TensorToStore]) -> None:
    if not folder.is_dir():
        raise ConversionError("bad_request", f"The folder {folder} does not exist.")
    needed, free = sum(tensor.nbytes for tensor in tensors), shutil.disk_usage(folder).free
    if free < needed + DISK_RESERVE_BYTES:
        raise ConversionError(
            "disk_full",
            f"The model will take {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free on its disk.",
            "Free some space or choose another folder.",
        )


def _copy_files(merged: Checkpoint, folder: Path, outtype: str | None) -> None:
    for path in merged.folder.iterdir():
        if path.is_file() and path.suffix in COPIED and path.name not in NOT_COPIED:
            shutil.copyfile(path, folder / path.name)
    config = dict(merged.config)
    if outtype is not None:
        config["dtype" if "dtype" in config else "torch_dtype"] = DTYPES[outtype]
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False), "utf-8")
