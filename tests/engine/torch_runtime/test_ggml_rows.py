"""Rows of every type unpack to what the gguf package, which has code of its own, makes of them."""

import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize

from converter.ggml_types import TENSOR_TYPES
from engine.errors import EngineError
from engine.torch_runtime.ggml_rows import unpack_rows
from tests.helpers.quantizer import ggml_quantizer


@pytest.mark.parametrize(
    "name", ["f32", "f16", "bf16", "q8_0", "q4_0", "q5_1", "q2_k", "q4_k", "q6_k", "iq4_xs", "iq3_s"]
)
def test_rows_are_unpacked_as_by_the_gguf_package(name):
    rows = np.random.default_rng(1).standard_normal((5, 512), np.float32)
    packed = rows.view(np.uint8) if name == "f32" else ggml_quantizer(rows, name)
    kind = TENSOR_TYPES[name]
    ours = unpack_rows(packed, kind)
    np.testing.assert_allclose(ours, dequantize(packed, GGMLQuantizationType(kind.id)), rtol=1e-6, atol=1e-7)
    assert np.linalg.norm(ours - rows) / np.linalg.norm(rows) < 0.4


def test_types_that_hold_no_weights_are_refused():
    with pytest.raises(EngineError, match="i32 cannot be computed with"):
        unpack_rows(np.zeros((1, 8), np.uint8), TENSOR_TYPES["i32"])
