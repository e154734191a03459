"""Check products in float32 and bfloat16, and the choice between them."""

import dataclasses

import numpy as np
import pytest

from converter.checkpoint import Checkpoint
from converter.clip_companion import companion_file, companion_type
from converter.ggml_types import TENSOR_TYPES, file_type
from converter.gguf_stream import write_gguf
from converter.row_encoding import pack_rows
from engine.vision.companion import Companion
from engine.vision.products import Bfloat16Products, Float32Products, choose_products


def rounded(values):
    upper = pack_rows(values, TENSOR_TYPES["bf16"], None).view("<u2").astype(np.uint32)
    return (upper << 16).view(np.float32)


@pytest.fixture
def matrices():
    generator = np.random.default_rng(0)
    return [generator.standard_normal(shape, dtype=np.float32) for shape in ((13, 96), (48, 96))]


def test_bfloat16_rounds_to_nearest_and_to_even(matrices):
    ties = np.array([[1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 3.0]], np.float32)
    for values in (*matrices, ties, matrices[0][:, ::2]):
        ours = Bfloat16Products().inputs(values).astype(np.uint32) << 16
        assert np.array_equal(ours.view(np.float32), rounded(values))


def test_sums_of_bfloat16_are_float32(matrices):
    given, weights = matrices
    products = Bfloat16Products()
    ours = products.multiply(products.inputs(given), products.inputs(weights))
    wanted = rounded(given).astype(float) @ rounded(weights).astype(float).T
    assert ours.dtype == np.float32 and ours.shape == wanted.shape
    assert np.abs(ours - wanted).max() < 1e-4
    assert np.abs(wanted - given @ weights.T).max() > 1e-3


def test_float32_rounds_nothing(matrices):
    given, weights = matrices
    products = Float32Products("")
    assert np.allclose(products.multiply(products.inputs(given), weights), given.astype(float) @ weights.T, atol=1e-5)


@pytest.fixture
def written(vision_checkpoint, tmp_path):
    """Write companions of one type, the first matrix multiplied with a number."""

    def write(kind, factor=1.0):
        checkpoint = Checkpoint(vision_checkpoint)
        metadata, tensors = companion_file(checkpoint, file_type(kind), "Tiny")
        index = next(index for index, tensor in enumerate(tensors) if tensor.spec.name == "v.blk.0.attn_q.weight")
        pack = tensors[index].pack
        tensors[index] = dataclasses.replace(tensors[index], pack=lambda rows: pack(rows * np.float32(factor)))
        write_gguf(tmp_path / "tiny.mmproj.gguf", metadata, tensors)
        checkpoint.close()
        return Companion(tmp_path / "tiny.mmproj.gguf")

    return write


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "q8_0"])
def test_weights_are_those_of_the_file(written, kind):
    companion = written(kind)
    stored = Bfloat16Products().weights(companion, "v.blk.0.ffn_up.weight").astype(np.uint32) << 16
    wanted = companion.tensor("v.blk.0.ffn_up.weight")
    assert np.array_equal(stored.view(np.float32), rounded(wanted))
    assert np.array_equal(stored.view(np.float32), wanted) == (kind != "q8_0")


def test_rows_of_weights_may_lie_apart(matrices):
    given, weights = matrices
    products = Bfloat16Products()
    apart = np.zeros((len(weights), 96 + 32), np.uint16)
    apart[:, :96] = products.inputs(weights)
    together = products.multiply(products.inputs(given), products.inputs(weights))
    assert np.array_equal(products.multiply(products.inputs(given), apart[:, :96]), together)


@pytest.mark.parametrize(
    ("kind", "factor", "exact"),
    [
        ("bf16", 1, True),
        ("f16", 1, True),
        ("f16", 2.0**-12, True),  # below f16's normal numbers
        ("f16", 1.01, False),
        ("f32", 1, False),
        ("q8_0", 1, False),
    ],
)
def test_bfloat16_needs_weights_without_more_digits(written, kind, factor, exact):
    assert written(kind, factor).is_bfloat16 == exact


def test_a_small_tower_is_float32(written):
    products = choose_products(written("bf16"))
    assert isinstance(products, Float32Products) and products.reason.startswith("float32")


@pytest.mark.parametrize("kind", ["f32", "bf16", "q8_0"])
def test_the_companion_is_16_bits_wide_unless_all_is_float32(kind):
    assert companion_type(file_type(kind)).name == ("f32" if kind == "f32" else "f16")
