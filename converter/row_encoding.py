"""Pack rows of float32 the way ggml stores them: f32, f16, bf16 and q8_0 here, all other types by a quantizer."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from converter.errors import ConversionError
from converter.ggml_types import TensorType
from converter.lazy_tensors import Rows

Packed = NDArray[np.uint8]
# Takes float32 rows [n_rows, n_cols] and the name of a tensor type, gives bytes [n_rows, bytes per row]; called from
# several threads at once.
Quantizer = Callable[[Rows, str], Packed]

ENCODED_HERE = ("f32", "f16", "bf16", "q8_0")


def pack_rows(rows: Rows, tensor_type: TensorType, quantizer: Quantizer | None) -> Packed:
    """Return `rows` packed as `tensor_type`, one row of bytes for each."""
    name = tensor_type.name
    if name == "f32":
        return _as_bytes(np.ascontiguousarray(rows, "<f4"))
    if name == "f16":
        return _as_bytes(_to_f16(rows))
    if name == "bf16":
        return _as_bytes(_to_bf16(rows))
    if quantizer is not None:
        return quantizer(np.ascontiguousarray(rows, np.float32), name)
    assert name == "q8_0", name
    return _to_q8_0(rows)


def _as_bytes(rows: Rows) -> Packed:
    return rows.view(np.uint8)


def _to_f16(rows: Rows) -> Rows:
    try:
        with np.errstate(over="raise"):
            return rows.astype("<f2")
    except FloatingPointError:
        raise ConversionError(
            "bad_request", "Some weights are too large for f16.", "Convert to bf16, f32 or a quantised type."
        ) from None


def _to_bf16(rows: Rows) -> Rows:
    """Keep the upper halves, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(rows, "<f4").view("<u4")
    rounded = bits >> 16
    rounded &= 1
    rounded += 0x7FFF
    rounded += bits
    return np.ascontiguousarray(rounded.view("<u2")[:, 1::2])


def _to_q8_0(rows: Rows) -> Packed:
    blocks = rows.reshape(rows.shape[0], -1, 32)
    scale = np.abs(blocks).max(axis=2, keepdims=True) / np.float32(127)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    scaled = blocks * inverse
    # C's roundf goes away from zero at a half, numpy's rint to even.
    quants = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int8)
    packed = np.concatenate([scale.astype("<f2").view(np.uint8), quants.view(np.uint8)], axis=2)
    return packed.reshape(rows.shape[0], -1)
