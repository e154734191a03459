"""Multiply packed rows by a power of two without unpacking them; no digit of any weight changes."""

import numpy as np

from converter.errors import ConversionError
from converter.ggml_types import TensorType
from converter.gguf_file import TensorInfo
from converter.lazy_tensors import Rows

# Where the 16-bit scales lie in a block; everything else in it are multiples of them.
SCALE_OFFSETS = {
    "q4_0": (0,), "q4_1": (0, 2), "q5_0": (0,), "q5_1": (0, 2), "q8_0": (0,), "q2_k": (80, 82), "q3_k": (108,),
    "q4_k": (0, 2), "q5_k": (0, 2), "q6_k": (208,), "iq4_nl": (0,), "iq4_xs": (0,), "iq3_s": (0,), "iq3_xxs": (0,),
    "iq2_xxs": (0,), "iq2_xs": (0,), "iq2_s": (0,), "iq1_s": (0,),
}  # fmt: skip
PLAIN = ("f32", "f16", "bf16")


def can_scale(info: TensorInfo) -> bool:
    """Tell whether the rows of a tensor can be multiplied."""
    return info.type.name in SCALE_OFFSETS or info.type.name in PLAIN


def scaled_rows(packed: Rows, tensor_type: TensorType, factor: float) -> Rows:
    """Return rows of bytes that stand for `factor` times the numbers; refuse where that is not exact."""
    if tensor_type.name == "f32":
        return _checked(packed.view("<f4"), factor).view(np.uint8)
    if tensor_type.name == "f16":
        return _checked(packed.view("<f2"), factor).view(np.uint8)
    if tensor_type.name == "bf16":
        wide = (packed.view("<u2").astype(np.uint32) << 16).view(np.float32)
        return (_checked(wide, factor).view(np.uint32) >> 16).astype("<u2").view(np.uint8)
    blocks = packed.reshape(-1, tensor_type.block_bytes).copy()
    for offset in SCALE_OFFSETS[tensor_type.name]:
        scales = np.ascontiguousarray(blocks[:, offset : offset + 2]).view("<f2")
        blocks[:, offset : offset + 2] = _checked(scales, factor).view(np.uint8)
    return blocks.reshape(packed.shape)


def _checked(values: Rows, factor: float) -> Rows:
    with np.errstate(over="ignore", under="ignore"):
        scaled: Rows = values * values.dtype.type(factor)
        exact = np.array_equal(scaled / scaled.dtype.type(factor), values, equal_nan=True)
    if not exact:
        raise ConversionError(
            "model_unsupported", "Some weights are too large or too small to be scaled.", "Import the checkpoint."
        )
    return scaled
