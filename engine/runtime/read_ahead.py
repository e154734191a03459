"""Bring a model file into memory in steps that can be watched and stopped."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from pathlib import Path

from engine.runtime.cancellation import Cancellation

_STEP = 8 * 1024 * 1024
_POPULATE_READ = 22  # Linux's MADV_POPULATE_READ, which Python does not name


def read_ahead(path: Path, cancellation: Cancellation, on_progress: Callable[[float], None]) -> None:
    """Fill the page cache with a file; `on_progress` gets a fraction; raises EngineError `cancelled`.

    On Linux llama.cpp maps a file with all its pages in one call, which takes as long as the disk does and cannot be
    stopped. Elsewhere the pages come one by one, and nothing needs to be done.
    """
    if sys.platform != "linux":
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        for start in range(0, len(view), _STEP):
            cancellation.check()
            try:
                view.madvise(_POPULATE_READ, start, min(_STEP, len(view) - start))
            except OSError:
                # Kernels before 5.14 do not know it.
                return
            on_progress(min(1.0, (start + _STEP) / len(view)))
