"""Import the libraries of the training extra, which the chat application does without."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from engine.errors import EngineError
from engine.launch import is_frozen


def is_installed(package: str) -> bool:
    """Tell whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def how_to_install() -> str:
    """Say how the packages of training come to this program."""
    if is_frozen():
        return (
            "Install what training needs on the Fine-tune page, or with: phidelity-engine training-environment install"
        )
    return "Install the training extra."


def training_library(name: str, purpose: str) -> Any:
    """Import a module, or say in one sentence that `purpose` needs it; raises EngineError `model_unsupported`."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        sentence = f"{purpose} needs the package {package}, which is not installed."
        raise EngineError("model_unsupported", sentence, how_to_install(), str(error)) from error
