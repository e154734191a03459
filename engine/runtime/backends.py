"""Load what llama.cpp computes with: the code for this processor, and for GPUs where their drivers are."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
from llama_cpp import _ctypes_extensions, _ggml

_GPU_LIBRARIES = ("vulkan", "cuda", "hip", "metal")


@functools.cache
def load_backends() -> None:
    """Choose among the backends that lie beside llama.cpp's libraries; a build that has them inside needs nothing.

    The installed program carries one library per generation of processors and one per kind of GPU; ggml loads the best
    of the first, and of the others those whose drivers this machine has.
    """
    library = ggml_library("ggml")
    library.ggml_backend_reg_count.restype = ctypes.c_size_t
    if library.ggml_backend_reg_count():
        return
    load = library.ggml_backend_load_all_from_path
    load.argtypes, load.restype = [ctypes.c_char_p], None
    for folder in _folders():
        if any(folder.glob("*ggml-cpu*")):
            load(os.fsencode(folder))
            return


def has_gpu_code() -> bool:
    """Tell whether this build could compute on a GPU, if there is one; no driver is touched."""
    return any(any(folder.glob(f"*ggml-{name}*")) for folder in _folders() for name in _GPU_LIBRARIES)


def ggml_library(name: str) -> Any:
    """Give the library `ggml` or `ggml-base` that llama.cpp itself uses, where its backends are registered.

    Loading it by its name may bring a second copy, with a registry of its own, on systems that number libraries.
    """
    if sys.platform == "win32":
        return _ctypes_extensions.load_shared_library(name, _ggml.libggml_base_path)
    return llama._lib


def _folders() -> Iterator[Path]:
    """Give where backends lie: beside the libraries, or where a wheel of llama-cpp-python puts them."""
    beside = Path(_ggml.libggml_base_path)
    yield beside
    yield beside.parents[1] / "bin"
