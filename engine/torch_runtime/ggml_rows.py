"""Unpack rows of any ggml type to float32 with ggml's own code from the installed llama.cpp library."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from llama_cpp import _ctypes_extensions, _ggml
from numpy.typing import NDArray

from converter.ggml_types import TensorType
from engine.errors import EngineError

_PLAIN = "f32"


class _TypeTraits(ctypes.Structure):
    """Mirror ggml_type_traits of ggml.h."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("blck_size", ctypes.c_int64),
        ("blck_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
        ("from_float_ref", ctypes.c_void_p),
    )


def unpack_rows(packed: NDArray[np.uint8], kind: TensorType) -> NDArray[np.float32]:
    """Return the float32 numbers `[n_rows, n_cols]` of packed rows `[n_rows, bytes per row]`; raises EngineError."""
    n_rows, n_cols = len(packed), packed.shape[1] // kind.block_bytes * kind.block
    if kind.name == _PLAIN:
        return packed.view("<f4").copy()
    traits = _traits(kind)
    if not traits.to_float:
        message = f"Weights of the type {kind.name} cannot be computed with."
        raise EngineError("model_unsupported", message, "Convert the checkpoint again.")
    packed = np.ascontiguousarray(packed)
    rows = np.empty((n_rows, n_cols), np.float32)
    traits.to_float(packed.ctypes.data, rows.ctypes.data, rows.size)
    return rows


def _traits(kind: TensorType) -> _TypeTraits:
    library: Any = _ctypes_extensions.load_shared_library("ggml-base", _ggml.libggml_base_path)
    function = library.ggml_get_type_traits
    function.argtypes, function.restype = [ctypes.c_int], ctypes.POINTER(_TypeTraits)
    traits: _TypeTraits = function(kind.id).contents
    # The structure is read as the pinned version declares it; another one must not be called by guess.
    if (traits.blck_size, traits.type_size) != (kind.block, kind.block_bytes):
        message = f"The installed llama.cpp packs {kind.name} in another way."
        raise EngineError("internal", message, "Install the version that pyproject.toml names.")
    return traits
