"""Find the LoRA adapters on disk and tell which models they fit."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from converter.adapter_file import base_name, is_adapter, made_for, made_for_another, problem_with, rank
from converter.errors import ConversionError
from converter.gguf_file import GGUFHeader, read_header
from engine.errors import EngineError
from engine.library.adapter_card import AdapterCard, tuned_companion
from engine.library.folders import default_models_dir


def scan_adapters(folders: Sequence[Path]) -> list[AdapterCard]:
    """List the adapters in `folders` and one level below, by name; damaged files are left to the list of models."""
    cards = [card for path in _files(folders) if (card := _card(path)) is not None]
    return sorted(cards, key=lambda card: card.name.lower())


def adapters_for(model: Path, folders: Sequence[Path]) -> list[AdapterCard]:
    """List the adapters for the model in a file, those trained on its very weights first, others of its shapes then."""
    try:
        header = read_header(model)
    except ConversionError:
        return []
    fitting = []
    for card in scan_adapters(folders):
        adapter = _adapter_header(card.path)
        if adapter is not None and problem_with(adapter, header) is None and not made_for_another(adapter, header):
            fitting.append((not made_for(adapter, header), card))
    return [card for _, card in sorted(fitting, key=lambda pair: pair[0])]


def resolve_adapter(name: str, models_dir: Path | None = None) -> Path:
    """Turn a library name or a path into the path of an adapter's file; raises EngineError `model_not_found`."""
    direct = Path(name).expanduser()
    if direct.is_file():
        return direct
    wanted = name.lower()
    for card in scan_adapters([models_dir or default_models_dir()]):
        if wanted in (card.name.lower(), card.path.stem.lower(), card.path.name.lower()):
            return card.path
    raise EngineError(
        "model_not_found",
        f"There is no adapter called {name!r} in the library and no such file.",
        "See the names with: python -m engine adapters",
    )


def _files(folders: Sequence[Path]) -> list[Path]:
    return [path for folder in folders for pattern in ("*.gguf", "*/*.gguf") for path in folder.glob(pattern)]


def _card(path: Path) -> AdapterCard | None:
    header = _adapter_header(path)
    if header is None:
        return None
    name = header.text("general.name") or path.stem
    return AdapterCard(
        name, path, header.size, header.architecture, base_name(header), rank(header), tuned_companion(path)
    )


def _adapter_header(path: Path) -> GGUFHeader | None:
    try:
        status = path.stat()
        return _read(path, status.st_size, status.st_mtime_ns)
    except (OSError, ConversionError):
        return None


@lru_cache(maxsize=1024)
def _read(path: Path, size: int, stamp: int) -> GGUFHeader | None:
    """Read a header, None for what is no adapter; size and stamp make a changed file miss the cache."""
    header = read_header(path)
    return header if is_adapter(header) else None
