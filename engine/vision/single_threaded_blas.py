"""Keep numpy's matrix products on the calling thread while threads of our own call them side by side.

OpenBLAS lets one product at a time use its threads, which spin while they wait: products from several threads would
stand in a queue and lose most of their time. Its number of threads can only be set through the library itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_NAMES = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads")


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Let OpenBLAS use one thread per caller; without effect where numpy uses another library."""
    functions = _thread_functions()
    if functions is None:
        yield
        return
    get, set_ = functions
    before = get()
    set_(1)
    try:
        yield
    finally:
        set_(before)


@cache
def _thread_functions() -> tuple[Any, Any] | None:
    """Find the functions in the library that came with numpy."""
    package = Path(np.__file__).parent
    for folder in (package.with_name("numpy.libs"), package / ".dylibs", package / ".libs"):
        for path in folder.glob("*openblas*"):
            library = ctypes.CDLL(str(path))
            for name in _NAMES:
                if hasattr(library, name.format("set")):
                    return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return None
