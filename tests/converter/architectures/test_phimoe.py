"""Test that a converted Phi-3.5-MoE computes what transformers does."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from converter.convert import convert
from converter.errors import ConversionError
from converter.gguf_file import read_header
from engine.runtime.sparse_mixer import SparseMixer
from tests.helpers.checkpoints import make_phimoe
from tests.helpers.logits import llama_logits, reference_logits, relative_error

VOCABULARY = 1000


@pytest.fixture(scope="module")
def ids():
    return np.random.default_rng(0).integers(0, VOCABULARY, 256).tolist()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_phimoe(tmp_path_factory.mktemp("moe") / "model", vocab_size=VOCABULARY, tokenizer=False)


@pytest.fixture(scope="module")
def converted(checkpoint):
    convert(checkpoint, checkpoint.parent / "model.gguf", outtype="f32")
    return checkpoint.parent / "model.gguf"


def _near_ties(path):
    """Return the engine's callback for a file; bound to the mixer that keeps it alive."""
    return SparseMixer.of(read_header(path)).callback


def _kl(ours, reference):
    def log_probabilities(logits):
        logits = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    wanted, got = log_probabilities(reference), log_probabilities(ours)
    return float((np.exp(wanted) * (wanted - got)).sum(axis=1).mean())


def test_everything_but_near_ties_is_in_the_file(tmp_path, ids):
    """Without jitter SparseMixer knows no near ties, and any llama.cpp computes the reference."""
    folder = make_phimoe(tmp_path / "model", vocab_size=VOCABULARY, tokenizer=False, router_jitter_noise=0.0)
    convert(folder, tmp_path / "model.gguf", outtype="f32")
    ours, reference = llama_logits(tmp_path / "model.gguf", ids, n_ctx=4096), reference_logits(folder, ids)
    assert relative_error(ours, reference) < 2e-3
    assert _kl(ours, reference) < 1e-6


def test_with_the_weights_of_near_ties_the_reference_is_met(checkpoint, converted, ids):
    ours = llama_logits(converted, ids, n_ctx=4096, eval_callback=_near_ties(converted))
    reference = reference_logits(checkpoint, ids)
    assert relative_error(ours, reference) < 1e-4
    assert _kl(ours, reference) < 1e-8


def test_a_plain_model_without_biases(tmp_path, ids):
    """The real model has biases everywhere; transformers' defaults have none in the attention and the head."""
    changes = {"attention_bias": False, "lm_head_bias": False, "num_local_experts": 4, "tie_word_embeddings": True}
    folder = make_phimoe(tmp_path / "model", vocab_size=VOCABULARY, tokenizer=False, **changes)
    convert(folder, tmp_path / "model.gguf", outtype="f32")
    callback = _near_ties(tmp_path / "model.gguf")
    ours = llama_logits(tmp_path / "model.gguf", ids[:64], n_ctx=4096, eval_callback=callback)
    assert relative_error(ours, reference_logits(folder, ids[:64])) < 1e-4


def test_both_layouts_of_the_experts_give_the_same_file(checkpoint, converted, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    tensors = load_file(folder / "model.safetensors")
    for layer in range(2):
        block, mlp = f"model.layers.{layer}.block_sparse_moe", f"model.layers.{layer}.mlp"
        tensors[f"{mlp}.router.weight"] = tensors.pop(f"{block}.gate.weight")
        parts = {w: [tensors.pop(f"{block}.experts.{i}.{w}.weight") for i in range(8)] for w in ("w1", "w2", "w3")}
        gate_up = [np.concatenate(pair) for pair in zip(parts["w1"], parts["w3"], strict=True)]
        tensors[f"{mlp}.experts.gate_up_proj"] = np.stack(gate_up)
        tensors[f"{mlp}.experts.down_proj"] = np.stack(parts["w2"])
    save_file(tensors, folder / "model.safetensors")
    convert(folder, tmp_path / "stacked.gguf", outtype="f32")
    assert (tmp_path / "stacked.gguf").read_bytes() == converted.read_bytes()


def test_the_scale_of_long_rope_is_the_models_own(checkpoint, converted, tmp_path):
    header = read_header(converted)
    assert header.number("phimoe.rope.scaling.attn_factor") == pytest.approx(1.2431631, abs=1e-6)
    assert header.get("phidelity.rope.long_attn_factor") is None
    config = json.loads((checkpoint / "config.json").read_text())
    config["rope_parameters"]["long_mscale"] = 1.5
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    (folder / "config.json").write_text(json.dumps(config))
    convert(folder, tmp_path / "m.gguf", outtype="bf16")
    assert read_header(tmp_path / "m.gguf").number("phidelity.rope.long_attn_factor") == 1.5


def test_long_texts_take_the_long_factors(tmp_path, ids):
    """Transformers 5.23 computes phimoe with the short factors at any length, unlike Microsoft's own code.

    Its result with the long factors put in the place of the short ones is what a long text must give.
    """
    changes = {"original_max_position_embeddings": 200, "max_position_embeddings": 8192, "router_jitter_noise": 0.0}
    folder = make_phimoe(tmp_path / "model", vocab_size=VOCABULARY, tokenizer=False, **changes)
    convert(folder, tmp_path / "m.gguf", outtype="f32")
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"]["short_factor"] = config["rope_parameters"]["long_factor"]
    (folder / "config.json").write_text(json.dumps(config))
    callback = _near_ties(tmp_path / "m.gguf")
    ours = llama_logits(tmp_path / "m.gguf", ids, n_ctx=512, eval_callback=callback)
    assert relative_error(ours, reference_logits(folder, ids)) < 1e-4


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [("num_experts_per_tok", 4, "num_experts_per_tok = 4, but 2"), ("num_local_experts", 7, r"\(8, 128\).*\(7, 128\)")],
)
def test_wrong_settings_are_named(checkpoint, tmp_path, key, value, reason):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(ConversionError, match=reason):
        convert(folder, tmp_path / "m.gguf", outtype="bf16")
