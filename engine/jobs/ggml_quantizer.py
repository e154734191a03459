"""Quantise rows of weights with ggml's own code from the installed llama.cpp library."""

import ctypes
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
from llama_cpp import _ggml

from converter.ggml_types import TENSOR_TYPES
from engine.errors import EngineError

FloatRows = np.ndarray[tuple[int, int], np.dtype[np.float32]]
ByteRows = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


class GgmlQuantizer:
    """Quantise float32 rows to any ggml type, on several threads; callable as the converter's `quantizer`.

    ctypes releases the interpreter's lock during a call, and ggml quantises each row alone, so slices of rows run in
    parallel and give the same bytes as one call.
    """

    def __init__(self, threads: int | None = None) -> None:
        """Use `threads` threads (all cores when None)."""
        self._threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="quantize")
        self._library = _declare(_ggml.libggml)

    def __enter__(self) -> "GgmlQuantizer":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the threads and free ggml's tables."""
        self._pool.shutdown()
        self._library.ggml_quantize_free()

    def __call__(self, rows: FloatRows, type_name: str) -> ByteRows:
        """Quantise `rows` `[n_rows, n_cols]` to a ggml type such as `Q4_K`; return `[n_rows, bytes per row]`.

        Raises EngineError `bad_request` when `n_cols` is not a whole number of blocks, or when the type needs an
        importance matrix.
        """
        kind = TENSOR_TYPES[type_name.lower()]
        n_rows, n_cols = rows.shape
        if n_cols % kind.block or self._library.ggml_quantize_requires_imatrix(kind.id):
            message = f"These weights cannot be stored as {type_name}."
            raise EngineError("bad_request", message, "Choose another quantisation.")
        rows = np.ascontiguousarray(rows, np.float32)
        out = np.empty((n_rows, kind.row_bytes(n_cols)), np.uint8)
        self._library.ggml_quantize_init(kind.id)
        bounds = np.linspace(0, n_rows, self._threads + 1).astype(int)
        slices = [(int(first), int(end - first)) for first, end in itertools.pairwise(bounds) if end > first]
        for work in [self._pool.submit(self._quantize_slice, kind.id, rows, out, *part) for part in slices]:
            work.result()
        return out

    def _quantize_slice(self, kind: int, rows: FloatRows, out: ByteRows, first: int, count: int) -> None:
        n_cols = rows.shape[1]
        written = self._library.ggml_quantize_chunk(
            kind, rows[first:].ctypes.data, out[first:].ctypes.data, 0, count, n_cols, None
        )
        if written != count * out.shape[1]:
            raise EngineError("internal", "ggml wrote another number of bytes than expected.", "Report this.")


def _declare(library: Any) -> Any:
    """Declare the four functions of ggml.h that are used here."""
    library.ggml_quantize_init.argtypes = [ctypes.c_int]
    library.ggml_quantize_init.restype = None
    library.ggml_quantize_free.argtypes = []
    library.ggml_quantize_free.restype = None
    library.ggml_quantize_requires_imatrix.argtypes = [ctypes.c_int]
    library.ggml_quantize_requires_imatrix.restype = ctypes.c_bool
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library
