"""Look into the nodes of ggml's graphs, for which it has no functions."""

from __future__ import annotations

import ctypes
from typing import Any

_PRECISION_F32 = 10  # enum ggml_prec
_PRODUCTS = (b"MUL_MAT", b"MUL_MAT_ID")


class GgmlTensor(ctypes.Structure):
    """Mirror `struct ggml_tensor` of the pinned version, whose `src` no function gives."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * 4),
        ("nb", ctypes.c_size_t * 4),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * 16),
        ("flags", ctypes.c_int32),
        ("src", ctypes.c_void_p * 10),
        ("view_src", ctypes.c_void_p),
        ("view_offs", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("name", ctypes.c_char * 64),
        ("extra", ctypes.c_void_p),
        ("padding", ctypes.c_char * 8),
    ]


def add_up_in_32_bits(ggml: Any, address: int) -> None:
    """Ask a GPU to add up a node's products in 32 bits, where it would in 16; called before the node is computed.

    `ggml` is the library with `ggml_op_name` declared. On the processor it changes nothing.
    """
    tensor = GgmlTensor.from_address(address)
    if ggml.ggml_op_name(tensor.op) in _PRODUCTS:
        tensor.op_params[0] = _PRECISION_F32
