"""Test the packing of rows in numpy against ggml's."""

import numpy as np
import pytest

from converter.errors import ConversionError
from converter.ggml_types import TENSOR_TYPES
from converter.row_encoding import ENCODED_HERE, pack_rows
from tests.helpers.quantizer import ggml_quantizer


def _rows():
    rows = np.random.default_rng(3).standard_normal((40, 128)).astype(np.float32)
    rows *= np.exp(np.random.default_rng(4).uniform(-12, 6, (40, 1))).astype(np.float32)
    rows[3] = 0
    rows[4, :32] = 0
    # Numbers half way between two of the coarser format, where rounding shows.
    rows[5] = np.float32(1) + np.arange(128, dtype=np.float32) / 2**8
    rows[6] = np.arange(128, dtype=np.float32) - 63.5
    return rows


@pytest.mark.parametrize("name", ENCODED_HERE)
def test_bytes_equal_ggmls(name):
    ours = pack_rows(_rows(), TENSOR_TYPES[name], None)
    assert ours.shape == (40, TENSOR_TYPES[name].row_bytes(128))
    assert ours.tobytes() == ggml_quantizer(_rows(), name).tobytes()


def test_other_types_go_to_the_quantizer():
    packed = pack_rows(_rows(), TENSOR_TYPES["q4_0"], ggml_quantizer)
    assert packed.tobytes() == ggml_quantizer(_rows(), "q4_0").tobytes()


def test_a_weight_too_large_for_f16_is_refused():
    with pytest.raises(ConversionError, match="too large for f16"):
        pack_rows(np.full((1, 32), 1e6, np.float32), TENSOR_TYPES["f16"], None)
