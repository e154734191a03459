"""Compute with numpy on all cores: threads of our own, each with matrix products of its own.

OpenBLAS lets one product at a time use its threads, which spin while they wait: with other work between the products,
and other programs on the cores, most of their time is lost. So each product stays on the thread that calls it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

_NAMES = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads")


class BlasThreads:
    """Hold threads that share out work within numpy."""

    def __init__(self, count: int) -> None:
        """Start with `count` threads."""
        self.count = count
        self._pool = ThreadPoolExecutor(count, "blas")
        self._own_threads = _find_thread_functions()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    @contextmanager
    def one_product_each(self) -> Iterator[None]:
        """Keep products on the calling thread; without effect where numpy uses another library than OpenBLAS."""
        if self._own_threads is None:
            yield
            return
        get, set_ = self._own_threads
        before = get()
        set_(1)
        try:
            yield
        finally:
            set_(before)

    def run(self, work: Callable[[Any], None], items: Iterable[Any]) -> None:
        """Do work on every item; raises what any of it raises."""
        for _ in self._pool.map(work, items):
            pass

    def shares(self, count: int) -> list[slice]:
        """Cut `count` things into one share for each thread."""
        return parts(count, self.count)


def parts(count: int, number: int) -> list[slice]:
    """Cut `count` things into `number` parts of about the same size."""
    cuts = [count * index // number for index in range(number + 1)]
    return [slice(start, stop) for start, stop in pairwise(cuts) if start < stop]


def _find_thread_functions() -> tuple[Any, Any] | None:
    """Find the functions that get and set the number of threads in the library that came with numpy."""
    package = Path(np.__file__).parent
    for folder in (package.with_name("numpy.libs"), package / ".dylibs", package / ".libs"):
        for path in folder.glob("*openblas*"):
            library = ctypes.CDLL(str(path))
            for name in _NAMES:
                if hasattr(library, name.format("set")):
                    return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return None
