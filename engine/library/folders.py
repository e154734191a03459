"""Know where models are kept and turn a name into a file."""

import re
import sys
from pathlib import Path

import platformdirs

from engine.errors import EngineError

APP_NAME = "Phidelity"
STARTER_NAME = "starter"
DEFAULT_QUANTIZATION = "q4_k_m"


def default_models_dir() -> Path:
    """Give the user's model folder, as the platform places application data."""
    return platformdirs.user_data_path(APP_NAME, appauthor=False) / "models"


def default_cache_dir() -> Path:
    """Give the user's folder for what can be made again."""
    return platformdirs.user_cache_path(APP_NAME, appauthor=False)


def assets_dir() -> Path:
    """Give the folder of the data that comes with the program (the bundle's when frozen)."""
    return Path(getattr(sys, "_MEIPASS", Path(__file__).parents[2])) / "assets"


def builtin_models_dir() -> Path:
    """Give the folder of the models that come with the program."""
    return assets_dir() / "models"


def starter_path() -> Path:
    """Give the place of the built-in Starter model."""
    return builtin_models_dir() / "starter.gguf"


def resolve_model(name: str, models_dir: Path | None = None) -> Path:
    """Turn a library name or a path into the path of a GGUF file.

    `starter` always means the built-in model. Other names are compared with the names in the library and with its
    file names, both without regard to case. Raises EngineError `model_not_found`.
    """
    if name.lower() == STARTER_NAME:
        if starter_path().is_file():
            return starter_path()
        raise EngineError("model_not_found", "The built-in Starter has not been built yet.", "Run: make setup")
    direct = Path(name).expanduser()
    if direct.is_file():
        return direct
    from engine.library.scanner import scan  # reading headers is only needed for names

    wanted = name.lower()
    for card in scan([models_dir or default_models_dir()]):
        if wanted in (card.name.lower(), card.path.stem.lower(), card.path.name.lower()):
            return card.path
    raise EngineError(
        "model_not_found",
        f"There is no model called {name!r} in the library and no such file.",
        "See the names with: python -m engine models",
    )


def file_name_for(source: Path, name: str | None, quantization: str | None) -> str:
    """Name the GGUF file that an import of `source` (checkpoint directory or GGUF file) makes in the library."""
    is_gguf = source.suffix.lower() == ".gguf"
    stem = name or (source.stem if is_gguf else source.name if source.is_dir() else source.parent.name)
    stem = re.sub(r'[<>:"/\\|?*\x00-\x1f]+', "-", stem).strip(" .-") or "model"
    suffix = "" if is_gguf and not quantization else f"-{(quantization or DEFAULT_QUANTIZATION).upper()}"
    return f"{stem[:120]}{'' if stem.upper().endswith(suffix) else suffix}.gguf"
