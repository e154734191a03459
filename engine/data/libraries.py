"""Import the libraries of the training extra, which the chat application does without."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from engine.errors import EngineError


def is_installed(package: str) -> bool:
    """Tell whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def training_library(name: str, purpose: str) -> Any:
    """Import a module, or say in one sentence that `purpose` needs it; raises EngineError `model_unsupported`."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        sentence = f"{purpose} needs the package {package}, which is not installed."
        raise EngineError("model_unsupported", sentence, "Install the training extra.", str(error)) from error
