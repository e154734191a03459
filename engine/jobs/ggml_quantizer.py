"""Quantise rows of weights with ggml's own code from the installed llama.cpp library."""

import ctypes
from types import TracebackType
from typing import Any

import numpy as np
from llama_cpp import _ggml

from converter.ggml_types import TENSOR_TYPES
from engine.errors import EngineError

FloatRows = np.ndarray[tuple[int, int], np.dtype[np.float32]]
ByteRows = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


class GgmlQuantizer:
    """Quantise float32 rows to any ggml type; callable as the converter's `quantizer`, from several threads at once.

    ctypes releases the interpreter's lock during a call, and ggml quantises each row alone.
    """

    def __init__(self) -> None:
        """Bind ggml's functions."""
        self._library = _declare(_ggml.libggml)

    def __enter__(self) -> "GgmlQuantizer":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Free ggml's tables."""
        self._library.ggml_quantize_free()

    def __call__(self, rows: FloatRows, type_name: str) -> ByteRows:
        """Quantise `rows` `[n_rows, n_cols]` to a ggml type such as `q4_k`; return `[n_rows, bytes per row]`.

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
        written = self._library.ggml_quantize_chunk(kind.id, rows.ctypes.data, out.ctypes.data, 0, n_rows, n_cols, None)
        if written != out.size:
            raise EngineError("internal", "ggml wrote another number of bytes than expected.", "Report this.")
        return out


def _declare(library: Any) -> Any:
    """Declare the functions of ggml.h that are used here."""
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
