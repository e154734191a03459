"""Say how the product's own Python processes are started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Threads that spin at barriers take the cores from everything else; an aborting ggml would start a debugger.
_NATIVE_SETTINGS = {"GGML_NO_BACKTRACE": "1", "GOMP_SPINCOUNT": "0"}


def python_command(module: str, *arguments: str) -> list[str]:
    """Give the command line that runs `python -m module arguments`; use it with `child_environment`."""
    return [sys.executable, "-m", module, *arguments]


def child_environment() -> dict[str, str]:
    """Give this process's environment and what a child needs: the product's packages, UTF-8, quiet native libraries."""
    environment = {**_NATIVE_SETTINGS, **os.environ, "PYTHONUTF8": "1"}
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))
    return environment
