"""Test that packed rows are multiplied exactly."""

import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize

from converter.errors import ConversionError
from converter.ggml_types import TENSOR_TYPES
from converter.gguf_file import TensorInfo
from converter.packed_scaling import PLAIN, SCALE_OFFSETS, can_scale, scaled_rows
from converter.row_encoding import pack_rows
from tests.helpers.quantizer import ggml_quantizer

NEEDS_MATRIX = ("iq2_xxs", "iq2_xs", "iq1_s")


@pytest.mark.parametrize("name", [name for name in (*PLAIN, *SCALE_OFFSETS) if name not in NEEDS_MATRIX])
def test_numbers_are_doubled_exactly(name):
    kind = TENSOR_TYPES[name]
    rows = np.random.default_rng(0).standard_normal((8, 512)).astype(np.float32)
    packed = pack_rows(rows, kind, ggml_quantizer)
    doubled = scaled_rows(packed, kind, 2.0)
    assert doubled.shape == packed.shape
    unpack = GGMLQuantizationType(kind.id)
    assert np.array_equal(dequantize(doubled, unpack), 2 * dequantize(packed, unpack))


def test_what_cannot_be_exact_is_refused():
    packed = pack_rows(np.full((1, 32), 60000, np.float32), TENSOR_TYPES["f16"], None)
    with pytest.raises(ConversionError, match="too large or too small"):
        scaled_rows(packed, TENSOR_TYPES["f16"], 2.0)


def test_types_without_a_plain_scale_are_known():
    assert can_scale(TensorInfo("t", (1, 256), TENSOR_TYPES["q6_k"], 0))
    assert not can_scale(TensorInfo("t", (1, 256), TENSOR_TYPES["mxfp4"], 0))
