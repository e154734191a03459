"""The weights in a GGUF file become those of the checkpoint again, from any type, in bounded steps."""

import numpy as np
import pytest
import torch

from converter.convert import convert
from converter.gguf_file import read_header
from converter.gguf_writer import uint32
from engine.errors import EngineError
from engine.torch_runtime.cache import Cache
from engine.torch_runtime.gguf_config import exact_config
from engine.torch_runtime.gguf_weights import read_weights, weight_bytes, with_rope_factors
from engine.torch_runtime.phi3small import Phi3Small
from tests.helpers.fixtures import DATA
from tests.helpers.gguf_files import dequantized, edited
from tests.helpers.quantizer import ggml_quantizer

CPU = torch.device("cpu")


def weights_of(path, dtype=torch.float32, on_rows=lambda fraction: None):
    header = read_header(path)
    return read_weights(header, exact_config(header), dtype, CPU, on_rows)


def logits_of(path, case, dtype=torch.float32):
    header = read_header(path)
    model = Phi3Small(with_rope_factors(header, exact_config(header)), weights_of(path, dtype))
    reference = np.load(DATA / "phi3small-tiny" / "ref" / f"{case}.npz")
    ids = reference["input_ids"].ravel().tolist()
    ours = model.evaluate(ids, Cache(), torch.tensor(reference["positions"])).numpy() + header.get(
        "phidelity.logit_bias"
    )
    errors = np.linalg.norm(ours - reference["logits"], axis=-1) / np.linalg.norm(reference["logits"], axis=-1)
    return errors.max()


@pytest.mark.parametrize("case", ["chat_sys", "seq3000"])
def test_an_f32_file_computes_the_reference(small, case):
    assert logits_of(small[1], case) < 5e-6


def test_long_rope_computes_the_reference(small_longrope):
    assert logits_of(small_longrope[1], "longrope_seq3000") < 5e-5


def test_rows_and_factors_are_those_of_the_checkpoint(small):
    checkpoint, path = small
    original, ours = Phi3Small.load(checkpoint, torch.float32).weights, weights_of(path)
    for kind in ("self_attn.query_key_value", "mlp.up_proj"):
        name = f"model.layers.1.{kind}.weight"
        torch.testing.assert_close(ours[name], original[name], rtol=1e-6, atol=1e-6)
    for name in ("model.layers.3.self_attn.dense.weight", "model.layers.3.mlp.down_proj.weight"):
        torch.testing.assert_close(ours[name], original[name] - original[name].mean(0), rtol=1e-5, atol=1e-6)
    up = "model.layers.2.mlp.up_proj"
    norm_bias = original["model.layers.2.post_attention_layernorm.bias"]
    torch.testing.assert_close(ours[up + ".bias"], original[up + ".bias"] + original[up + ".weight"] @ norm_bias)


@pytest.mark.parametrize("outtype", ["q8_0", "q4_k_m", "iq4_xs"])
def test_packed_files_hold_what_the_gguf_package_unpacks(small, tmp_path, outtype):
    path = convert(small[0], tmp_path / "m.gguf", outtype=outtype, quantizer=ggml_quantizer).path
    expected = weights_of(dequantized(path, tmp_path / "unpacked.gguf"))
    for name, weight in weights_of(path).items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("outtype", ["bf16", "f16"])
def test_bfloat16_is_near_the_reference(small, tmp_path, outtype):
    path = convert(small[0], tmp_path / "m.gguf", outtype=outtype).path
    weights = weights_of(path, torch.bfloat16)
    assert weights["model.layers.0.mlp.up_proj.weight"].dtype == torch.bfloat16
    assert weights["model.layers.0.input_layernorm.weight"].dtype == weights["lm_head.weight"].dtype == torch.float32
    assert 1e-3 < logits_of(path, "seq200", torch.bfloat16) < 1e-2


def test_the_memory_is_known_beforehand(small):
    weights = weights_of(small[1], torch.bfloat16)
    assert weight_bytes(exact_config(read_header(small[1])), 2) == sum(tensor.nbytes for tensor in weights.values())


def test_progress_rises_to_the_end_and_can_stop(small):
    seen = []
    weights_of(small[1], on_rows=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and len(seen) > 20

    def stop(fraction):
        if fraction > 0.5:
            raise EngineError("cancelled", "Stopped.")

    with pytest.raises(EngineError, match="Stopped"):
        weights_of(small[1], on_rows=stop)


def test_missing_and_misshapen_weights_are_named(small, tmp_path):
    without = edited(small[1], tmp_path / "a.gguf", {}, ["blk.2.ffn_up.bias"])
    with pytest.raises(EngineError, match=r"lacks the weights 'blk.2.ffn_up.bias'"):
        weights_of(without)
    other = edited(small[1], tmp_path / "b.gguf", {"granite_swa.attention.head_count_kv": uint32(4)})
    with pytest.raises(EngineError, match=r"'blk.0.attn_k.weight' do not have the shape"):
        weights_of(other)


def test_a_file_that_is_cut_off_while_it_is_read_is_one_sentence(small, tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(small[1].read_bytes())
    header = read_header(path)
    path.write_bytes(small[1].read_bytes()[:-1000])
    with pytest.raises(EngineError, match=r"m.gguf was cut off"):
        read_weights(header, exact_config(header), torch.float32, CPU, lambda fraction: None)
