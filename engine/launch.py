"""Say how the product's own Python processes are started, from the sources and from the installed program."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ENGINE_PROGRAM = "phidelity-engine"
# Threads that spin at barriers take the cores from everything else; an aborting ggml would start a debugger.
_NATIVE_SETTINGS = {"GGML_NO_BACKTRACE": "1", "GOMP_SPINCOUNT": "0"}


def python_command(module: str, *arguments: str) -> list[str]:
    """Give the command line that runs `python -m module arguments`; use it with `child_environment`."""
    if is_frozen():
        return [str(engine_program()), "-m", module, *arguments]
    return [sys.executable, "-m", module, *arguments]


def training_command(module: str, *arguments: str) -> list[str]:
    """Give the command line that runs a module with the packages of training; use it with `child_environment`."""
    return python_command("engine.training_environment.enter", module, *arguments)


def restore_library_path() -> None:
    """Take the installed program's own libraries out of the environment of what it starts, as browsers and Pythons.

    PyInstaller's loader puts them there for this process, which has read the variable already. A program of the same
    folder must then begin anew rather than rely on it, and set it for itself.
    """
    if not is_frozen():
        return
    os.environ["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if before:
        os.environ["LD_LIBRARY_PATH"] = before
    else:
        os.environ.pop("LD_LIBRARY_PATH", None)


def is_frozen() -> bool:
    """Tell whether this is the installed program, which has no Python of its own to start."""
    return bool(getattr(sys, "frozen", False))


def engine_program() -> Path:
    """Give the console program that lies beside the window's in the installed program."""
    running = Path(sys.executable)
    return running.with_name(ENGINE_PROGRAM + running.suffix)


def child_environment() -> dict[str, str]:
    """Give this process's environment and what a child needs: the product's packages, UTF-8, quiet native libraries."""
    environment = {**_NATIVE_SETTINGS, **os.environ, "PYTHONUTF8": "1"}
    if is_frozen():
        return environment
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))
    return environment
