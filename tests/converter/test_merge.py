"""Test that a checkpoint with an adapter merged into it computes what PEFT does without merging."""

import json
from contextlib import closing

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

from converter.convert import convert
from converter.errors import ConversionCancelled, ConversionError
from converter.gguf_file import read_header
from converter.merge import open_checkpoint
from converter.merged_checkpoint import write_merged
from tests.helpers.adapters import make_adapter, peft_logits, write_adapter
from tests.helpers.checkpoints import TOKENIZER
from tests.helpers.fixtures import unpack_checkpoint
from tests.helpers.logits import reference_logits, relative_error

MOE_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj"]


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("mini", {}),
        ("mini", {"use_rslora": True, "alpha_pattern": {"o_proj": 3}, "rank_pattern": {"qkv_proj": 7}}),
        ("mini", {"use_dora": True}),
        ("mini", {"use_dora": True, "use_rslora": True, "rank_pattern": {"o_proj": 2}}),
        ("mini", {"modules_to_save": ["lm_head", "norm"]}),
        ("mini", {"modules_to_save": ["embed_tokens"]}),
        ("mini", {"trainable_token_indices": [5, 9, 40]}),
        ("mini", {"trainable_token_indices": {"embed_tokens": [7, 3], "lm_head": [8]}}),
        ("mini", {"target_modules": ["embed_tokens", "qkv_proj", "lm_head"]}),
        ("phi-4-mini", {"target_modules": ["lm_head", "o_proj"]}),
        ("phi-4-mini", {"target_modules": ["embed_tokens", "o_proj"]}),
        ("phi-4-mini", {"modules_to_save": ["lm_head"]}),
        ("phi-4-mini", {"trainable_token_indices": [5, 9, 40]}),
        ("moe", {"target_modules": MOE_MODULES, "bias": "all"}),
        ("moe", {"target_modules": MOE_MODULES, "lora_bias": True}),
        ("moe", {"target_modules": ["q_proj"], "target_parameters": ["experts.gate_up_proj", "experts.down_proj"]}),
    ],
)
def test_merged_weights_compute_what_peft_does(checkpoints, ids, tmp_path, variant, settings):
    """The directory is read again by transformers itself."""
    checkpoint = checkpoints(variant)
    adapter = make_adapter(tmp_path / "adapter", checkpoint, **settings)
    result = write_merged(checkpoint, adapter, tmp_path / "merged")
    reference = peft_logits(checkpoint, adapter, ids)
    assert relative_error(reference_logits(result.path, ids), reference) < 1e-5
    assert relative_error(reference_logits(checkpoint, ids), reference) > 1e-3


def test_a_merged_conversion_equals_the_conversion_of_the_merged_checkpoint(checkpoints, tmp_path):
    checkpoint = checkpoints("moe")
    adapter = make_adapter(tmp_path / "adapter", checkpoint, target_modules=MOE_MODULES)
    once = convert(checkpoint, tmp_path / "once.gguf", outtype="f32", adapter=adapter)
    written = write_merged(checkpoint, adapter, tmp_path / "moe-adapter")
    twice = convert(written.path, tmp_path / "twice.gguf", outtype="f32")
    assert once.name == "moe-adapter"
    assert once.path.read_bytes() == twice.path.read_bytes()
    base = convert(checkpoint, tmp_path / "base.gguf", outtype="f32")
    assert _fingerprint(base.path) != _fingerprint(once.path)


def test_the_written_checkpoint_is_complete(mini, tmp_path):
    """Left alone, transformers 5 would leave the tokenizer's files out."""
    adapter = make_adapter(tmp_path / "adapter", mini)
    seen = []
    result = write_merged(mini, adapter, tmp_path / "merged", outtype="bf16", progress=seen.append)
    for name in ("tokenizer.model", "added_tokens.json", "tokenizer.json", "tokenizer_config.json"):
        assert (result.path / name).read_bytes() == (TOKENIZER / name).read_bytes()
    config, own = (json.loads((folder / "config.json").read_text()) for folder in (mini, result.path))
    assert own == config | {"dtype": "bfloat16"}
    assert (result.n_tensors, result.n_changed) == (15, 8)
    assert seen[-1].done_bytes == seen[-1].total_bytes == result.size_bytes
    model = AutoModelForCausalLM.from_pretrained(result.path, dtype="auto")
    assert model.dtype is torch.bfloat16
    assert not (tmp_path / "merged.part").exists()


def test_large_checkpoints_are_written_in_parts(checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr("converter.safetensors_stream.write_safetensors.__defaults__", (None, 600_000))
    checkpoint = checkpoints("mini")
    adapter = make_adapter(tmp_path / "adapter", checkpoint)
    parts = write_merged(checkpoint, adapter, tmp_path / "parts").path
    monkeypatch.undo()
    whole = load_file(write_merged(checkpoint, adapter, tmp_path / "whole").path / "model.safetensors")
    index = json.loads((parts / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    for name, tensor in whole.items():
        np.testing.assert_array_equal(load_file(parts / index["weight_map"][name])[name], tensor)


def test_rows_are_those_of_the_whole_whatever_the_chunk(checkpoints, tmp_path):
    checkpoint = checkpoints("mini")
    adapter = make_adapter(tmp_path / "adapter", checkpoint, use_dora=True, trainable_token_indices=[1999, 0])
    with closing(open_checkpoint(checkpoint, adapter)) as merged:
        for name in ("model.layers.0.mlp.down_proj.weight", "model.embed_tokens.weight"):
            source = merged.tensor(name, merged.shape(name))
            n_rows = source.shape[0]
            whole = source.rows(0, n_rows)
            steps = [source.rows(start, min(start + 7, n_rows)) for start in range(0, n_rows, 7)]
            np.testing.assert_allclose(np.concatenate(steps), whole, rtol=1e-5, atol=1e-6)


def test_a_cancelled_or_refused_merge_leaves_nothing(checkpoints, tmp_path):
    checkpoint = checkpoints("mini")
    adapter = make_adapter(tmp_path / "adapter", checkpoint)

    def cancel(progress):
        raise ConversionCancelled

    with pytest.raises(ConversionCancelled):
        write_merged(checkpoint, adapter, tmp_path / "merged", progress=cancel)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(ConversionError, match="already something"):
        write_merged(checkpoint, adapter, tmp_path / "taken")
    with pytest.raises(ConversionError, match="does not exist"):
        write_merged(checkpoint, adapter, tmp_path / "nowhere" / "merged")
    with pytest.raises(ConversionError, match="does not belong"):
        write_merged(checkpoints("medium"), adapter, tmp_path / "merged")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "taken"]


def test_a_training_that_ran_away_is_refused(checkpoints, tmp_path):
    checkpoint = checkpoints("mini")
    adapter = make_adapter(tmp_path / "adapter", checkpoint)
    file = adapter / "adapter_model.safetensors"
    save_file({name: tensor * np.float32(1e30) for name, tensor in load_file(file).items()}, file)
    with pytest.raises(ConversionError, match="what it adds to the weights is infinite"):
        convert(checkpoint, tmp_path / "merged.gguf", outtype="bf16", adapter=adapter)
    assert not (tmp_path / "merged.gguf").exists()


def test_an_adapter_of_the_picture_part_is_merged_into_the_companion_only(tmp_path):
    checkpoint = unpack_checkpoint("phi3v-tiny", tmp_path)
    name = "model.vision_embed_tokens.img_projection.2"
    generator = np.random.default_rng(0)
    factors = {f"{name}.lora_A.weight": (4, 96), f"{name}.lora_B.weight": (96, 4)}
    tensors = {key: generator.normal(size=shape).astype(np.float32) for key, shape in factors.items()}
    adapter = write_adapter(tmp_path / "adapter", tensors)
    plain = convert(checkpoint, tmp_path / "plain.gguf", outtype="f32", name="same")
    merged = convert(checkpoint, tmp_path / "merged.gguf", outtype="f32", name="same", adapter=adapter)
    assert merged.path.read_bytes() == plain.path.read_bytes()
    assert merged.companion.read_bytes() != plain.companion.read_bytes()


def _fingerprint(path):
    return read_header(path).text("phidelity.source.fingerprint")
