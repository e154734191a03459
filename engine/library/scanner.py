"""Find the models on disk and read their cards."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from converter.adapter_file import is_adapter
from converter.clip_companion import HD_TRANSFORM_ORDER_KEY
from converter.companion_path import SUFFIX as COMPANION_SUFFIX
from converter.companion_path import companion_path
from converter.errors import ConversionError
from converter.faults import find_faults
from converter.ggml_types import FILE_TYPES_BY_ID
from converter.gguf_file import GGUFHeader, read_header
from converter.metadata import FAITHFUL_CONTEXT_KEY
from engine.library.folders import builtin_models_dir
from engine.library.memory_estimate import estimate_memory
from engine.library.model_card import ModelCard
from engine.library.verification_record import read_record

REFERENCE_SUFFIX = ".reference.json"
SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


def scan(folders: Sequence[Path]) -> list[ModelCard]:
    """List the models in `folders` and one level below, by name; a file that cannot be used has a `problem`.

    Headers are read again only when a file's size or time has changed. A folder that does not exist is empty.
    """
    cards = [card for folder in folders for card in _cards_in(folder)]
    return sorted(cards, key=lambda card: (card.built_in, card.name.lower()))


def add_reference(models_dir: Path, target: Path) -> Path:
    """Put a small file into the library that makes the GGUF at `target` a model without copying it; return its path."""
    models_dir.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"path": str(target.resolve())})
    reference = models_dir / (target.stem + REFERENCE_SUFFIX)
    number = 2
    while reference.exists() and reference.read_text("utf-8", "replace") != content:
        reference = models_dir / f"{target.stem}-{number}{REFERENCE_SUFFIX}"
        number += 1
    reference.write_text(content, "utf-8")
    return reference


def read_card(path: Path, reference: Path | None = None) -> ModelCard:
    """Read the card of one GGUF file (the first one, where a model is split)."""
    companion = _companion(path)
    files = [*model_files(path), *([companion] if companion else [])]
    try:
        size = sum(file.stat().st_size for file in files)
        stamp = path.stat().st_mtime_ns
    except OSError:
        problem = f"The file has been moved or deleted: {path}."
        return ModelCard(path.stem, path, reference=reference, problem=problem)
    return replace(_read_card(path, reference, size, stamp), verification=read_record(path), companion=companion)


def _companion(path: Path) -> Path | None:
    """Return the companion of a model if it is one that the engine can use; other families have theirs too."""
    beside = companion_path(path)
    try:
        status = beside.stat()
        return beside if _is_companion(beside, status.st_size, status.st_mtime_ns) else None
    except OSError:
        return None


@lru_cache(maxsize=1024)
def _is_companion(path: Path, _size: int, _stamp: int) -> bool:
    """Look into a file; size and time are only there to miss the cache when it has changed."""
    try:
        return HD_TRANSFORM_ORDER_KEY in read_header(path).metadata
    except ConversionError:
        return False


def _cards_in(folder: Path) -> Iterator[ModelCard]:
    for pattern in ("*.gguf", "*/*.gguf"):
        for path in folder.glob(pattern):
            shard = SHARD.search(path.name)
            if path.name.endswith(COMPANION_SUFFIX) or (shard is not None and int(shard[1]) != 1):
                continue
            card = read_card(path)
            if not card.is_adapter:
                yield card
    for reference in folder.glob("*" + REFERENCE_SUFFIX):
        try:
            yield read_card(Path(json.loads(reference.read_text("utf-8"))["path"]), reference)
        except (OSError, ValueError, KeyError, TypeError):
            problem = "The library's note on this model is damaged."
            yield ModelCard(
                reference.name.removesuffix(REFERENCE_SUFFIX), reference, 0, reference=reference, problem=problem
            )


def model_files(path: Path) -> list[Path]:
    """Give all files of a language model that is split over several, or the one file."""
    match = SHARD.search(path.name)
    if match is None:
        return [path]
    stem = path.name[: match.start()]
    return [path.with_name(f"{stem}-{number:05d}-of-{match[2]}.gguf") for number in range(1, int(match[2]) + 1)]


@lru_cache(maxsize=1024)
def _read_card(path: Path, reference: Path | None, size: int, stamp: int) -> ModelCard:
    """Read a card; `stamp` is only there to miss the cache when the file has changed."""
    built_in = path.is_relative_to(builtin_models_dir())
    try:
        header = read_header(path)
    except ConversionError as error:
        return ModelCard(path.stem, path, size, built_in=built_in, reference=reference, problem=error.message)
    architecture = header.architecture
    if is_adapter(header):
        name, problem = header.text("general.name") or path.stem, "This is an adapter; choose it beside its model."
        return ModelCard(name, path, size, architecture, reference=reference, problem=problem, is_adapter=True)
    return ModelCard(
        name=header.text("general.name") or path.stem,
        path=path,
        size_bytes=size,
        architecture=architecture,
        quantization=quantization_name(header),
        parameters=sum(math.prod(tensor.shape) for tensor in header.tensors.values()),
        context_train=int(header.number(f"{architecture}.context_length")),
        memory_bytes=estimate_memory(header) + size - header.size,
        built_in=built_in,
        reference=reference,
        faults=find_faults(header),
        faithful_context=int(header.number(FAITHFUL_CONTEXT_KEY)),
    )


def quantization_name(header: GGUFHeader) -> str:
    """Give llama.cpp's name of the file type, such as `Q4_K_M`; empty when the file does not say."""
    file_type = FILE_TYPES_BY_ID.get(int(header.number("general.file_type", -1)))
    return file_type.name.upper() if file_type else ""
