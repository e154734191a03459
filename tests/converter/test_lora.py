"""Test that a base model with a converted adapter computes what PEFT does, for every layout the converter writes."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from converter.convert import convert
from converter.errors import ConversionError
from converter.gguf_file import read_header
from converter.lora import convert_lora
from engine.runtime.native_log import NativeLog
from tests.helpers.adapters import make_adapter, peft_logits, write_adapter
from tests.helpers.checkpoints import make_phi3
from tests.helpers.fixtures import unpack_checkpoint
from tests.helpers.logits import relative_error
from tests.helpers.sessions import session_logits

VOCABULARY = 2000
MOE_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj"]
EXPERT_PARAMETERS = ["experts.gate_up_proj", "experts.down_proj"]
# The published configurations that differ in the layout of the file.
VARIANTS = ("mini", "mini-4k", "mini-128k", "medium", "phi-4-mini")


@pytest.fixture(scope="module")
def bases(checkpoints, tmp_path_factory):
    """Convert the checkpoint of a variant once."""
    made = {}

    def base(variant):
        if variant not in made:
            out = tmp_path_factory.mktemp("lora") / f"{variant}.gguf"
            made[variant] = checkpoints(variant), convert(checkpoints(variant), out, outtype="f32").path
        return made[variant]

    return base


@pytest.fixture(scope="module")
def evaluate(ids):
    """Evaluate a model with adapters in the engine's runtime."""
    return partial(_evaluate, NativeLog(), ids)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_adapter_computes_what_peft_does(bases, evaluate, ids, tmp_path, variant):
    checkpoint, gguf = bases(variant)
    adapter = make_adapter(tmp_path / "adapter", checkpoint)
    converted = convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")
    assert converted.alpha == 8.0 and converted.base == variant
    for scale in (1.0, 0.3):
        reference = peft_logits(checkpoint, adapter, ids, scale)[-1]
        assert relative_error(evaluate(gguf, (converted.path, scale)), reference) < 1e-4
        assert relative_error(evaluate(gguf), reference) > 0.1


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": MOE_MODULES},
        {"target_modules": ["o_proj"], "target_parameters": EXPERT_PARAMETERS},
        {"target_modules": ["lm_head"], "target_parameters": EXPERT_PARAMETERS[:1]},
    ],
)
def test_attention_experts_and_head_of_the_mixture(bases, evaluate, ids, tmp_path, settings):
    checkpoint, gguf = bases("moe")
    adapter = make_adapter(tmp_path / "adapter", checkpoint, **settings)
    converted = convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")
    reference = peft_logits(checkpoint, adapter, ids)[-1]
    assert relative_error(evaluate(gguf, (converted.path, 1.0)), reference) < 1e-4
    assert relative_error(evaluate(gguf), reference) > 0.02


def test_an_adapter_of_the_router_equals_its_merged_weights(bases, evaluate, tmp_path):
    """PEFT makes such adapters, but cannot run them."""
    checkpoint, gguf = bases("moe")
    adapter = make_adapter(tmp_path / "adapter", checkpoint, target_modules=["router"])
    converted = convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")
    merged = convert(checkpoint, tmp_path / "merged.gguf", outtype="f32", adapter=adapter)
    assert relative_error(evaluate(gguf, (converted.path, 1.0)), evaluate(merged.path)) < 1e-4
    assert relative_error(evaluate(gguf), evaluate(merged.path)) > 0.02


def test_experts_may_be_stacked_in_the_checkpoint_and_apart_in_the_adapter(bases, tmp_path):
    """Old adapters name the experts as Microsoft's own code does; only some of them may be trained."""
    checkpoint, _ = bases("moe")
    generator = np.random.default_rng(0)
    expert = "model.layers.1.block_sparse_moe.experts.2"
    shapes = {"w1.lora_A": (4, 128), "w1.lora_B": (96, 4), "w2.lora_A": (4, 96), "w2.lora_B": (128, 4)}
    tensors = {f"{expert}.{name}.weight": generator.normal(size=shape) for name, shape in shapes.items()}
    adapter = _rewritten(make_adapter(tmp_path / "adapter", checkpoint, target_modules=["o_proj"]), tensors)
    converted = convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")
    stacked = _with_stacked_experts(checkpoint, tmp_path / "stacked" / checkpoint.name)
    again = convert_lora(adapter, stacked, tmp_path / "again.gguf")
    assert converted.path.read_bytes() == again.path.read_bytes()
    info = read_header(converted.path).tensors
    assert info["blk.1.ffn_gate_exps.weight.lora_b"].shape == (4, 96, 4)
    assert info["blk.1.ffn_down_exps.weight.lora_a"].shape == (4, 4, 96)
    assert "blk.1.ffn_up_exps.weight.lora_a" not in info and "blk.0.ffn_gate_exps.weight.lora_a" not in info
    data, gate = converted.path.read_bytes(), info["blk.1.ffn_gate_exps.weight.lora_b"]
    values = np.frombuffer(data[gate.offset : gate.offset + gate.nbytes], "<f4").reshape(gate.shape)
    np.testing.assert_allclose(values[2], tensors[f"{expert}.w1.lora_B.weight"], rtol=1e-6)
    assert not values[[0, 1, 3]].any()


@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True},
        {"alpha_pattern": {"qkv_proj": 20, "layers.1.mlp.down_proj": 3}},
        {"rank_pattern": {"o_proj": 7, r".*\.0\.mlp\.gate_up_proj": 2}},
        {"use_rslora": True, "rank_pattern": {"o_proj": 9}, "alpha_pattern": {"down_proj": 1}},
        {"target_modules": ["lm_head", "qkv_proj"]},
    ],
)
def test_ranks_and_scales_are_those_of_each_module(bases, evaluate, ids, tmp_path, settings):
    checkpoint, gguf = bases("mini-4k")
    adapter = make_adapter(tmp_path / "adapter", checkpoint, **settings)
    converted = convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")
    reference = peft_logits(checkpoint, adapter, ids)[-1]
    assert relative_error(evaluate(gguf, (converted.path, 1.0)), reference) < 1e-4


def test_the_language_model_of_a_vision_model_takes_adapters(evaluate, tmp_path):
    checkpoint = unpack_checkpoint("phi3v-tiny", tmp_path)
    generator = np.random.default_rng(0)
    shapes = {"self_attn.qkv_proj": (288, 96), "mlp.down_proj": (96, 256)}
    tensors = {}
    for name, (rows, columns) in shapes.items():
        tensors[f"model.layers.1.{name}.lora_A.weight"] = generator.normal(0, 0.1, (4, columns)).astype("f4")
        tensors[f"model.layers.1.{name}.lora_B.weight"] = generator.normal(0, 0.3, (rows, 4)).astype("f4")
    adapter = write_adapter(tmp_path / "adapter", tensors)
    converted = convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")
    plain = convert(checkpoint, tmp_path / "plain.gguf", outtype="f32").path
    merged = convert(checkpoint, tmp_path / "merged.gguf", outtype="f32", adapter=adapter).path
    assert relative_error(evaluate(plain, (converted.path, 1.0)), evaluate(merged)) < 1e-4
    assert relative_error(evaluate(plain), evaluate(merged)) > 0.02
    tower = "model.vision_embed_tokens.img_processor.vision_model.encoder.layers.0.mlp.fc1"
    more = {f"{tower}.lora_A.weight": (4, 64), f"{tower}.lora_B.weight": (128, 4)}
    added = _rewritten(adapter, {name: np.zeros(shape) for name, shape in more.items()})
    with pytest.raises(ConversionError, match=r"changes model\.vision_embed_tokens\."):
        convert_lora(added, checkpoint, tmp_path / "adapter.gguf")


def test_several_adapters_add_up(bases, evaluate, ids, tmp_path):
    checkpoint, gguf = bases("mini-4k")
    adapters = [make_adapter(tmp_path / name, checkpoint, seed=seed) for seed, name in enumerate("ab")]
    files = [convert_lora(folder, checkpoint, folder.with_suffix(".gguf")).path for folder in adapters]
    merged = convert(checkpoint, tmp_path / "merged.gguf", outtype="f32", adapter=adapters[0])
    both = evaluate(gguf, (files[0], 1.0), (files[1], 0.5))
    assert relative_error(both, evaluate(merged.path, (files[1], 0.5))) < 1e-4
    assert relative_error(both, evaluate(merged.path)) > 0.05


def test_names_with_the_name_of_the_adapter(bases, tmp_path):
    """Some tools save the keys as they are in memory, with `default` in them."""
    checkpoint, _ = bases("mini")
    adapter = make_adapter(tmp_path / "adapter", checkpoint)
    plain = convert_lora(adapter, checkpoint, tmp_path / "plain.gguf").path.read_bytes()
    file = adapter / "adapter_model.safetensors"
    named = {name.replace(".weight", ".default.weight"): tensor for name, tensor in load_file(file).items()}
    save_file(named, file)
    assert convert_lora(adapter, checkpoint, tmp_path / "named.gguf").path.read_bytes() == plain


def test_the_file_tells_what_it_belongs_to(bases, tmp_path):
    checkpoint, gguf = bases("mini-4k")
    adapter = make_adapter(tmp_path / "My support bot", checkpoint)
    header = read_header(convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf", outtype="f16").path)
    assert header.architecture == "granite_swa"
    assert (header.text("general.type"), header.text("adapter.type")) == ("adapter", "lora")
    assert (header.text("general.name"), header.text("phidelity.adapter.base")) == ("My support bot", "mini-4k")
    fingerprint = read_header(gguf).text("phidelity.source.fingerprint")
    assert header.text("phidelity.adapter.base_fingerprint") == fingerprint != ""
    assert {info.type.name for info in header.tensors.values()} == {"f16"}
    assert len(header.tensors) == 2 * 2 * 7  # A and B, layers, q k v o gate up down


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"use_dora": True}, "trained with DoRA"),
        ({"bias": "all", "variant": "moe", "target_modules": MOE_MODULES}, "trained biases"),
        ({"lora_bias": True, "variant": "moe", "target_modules": MOE_MODULES}, "trained biases"),
        ({"modules_to_save": ["lm_head"]}, "whole trained modules"),
        ({"modules_to_save": ["embed_tokens"]}, "whole trained modules"),
        ({"trainable_token_indices": [5, 9]}, "newly trained tokens"),
        ({"target_modules": ["embed_tokens", "qkv_proj"]}, "changes the embeddings"),
        ({"target_modules": ["lm_head"], "variant": "phi-4-mini"}, "shares with its embeddings"),
    ],
)
def test_what_only_merging_keeps_is_refused(bases, tmp_path, settings, reason):
    checkpoint, _ = bases(settings.pop("variant", "mini"))
    adapter = make_adapter(tmp_path / "adapter", checkpoint, **settings)
    with pytest.raises(ConversionError, match=reason) as caught:
        convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")
    assert "Merge it instead" in (caught.value.remedy or "")
    assert not (tmp_path / "adapter.gguf").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "IA3"}, "of the kind 'IA3'"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens"),
        ({"r": 5}, "another rank than its settings say"),
        ({"r": 0}, "no usable r"),
        ({"lora_alpha": "much"}, "no usable lora_alpha"),
        ({"alpha_pattern": {"(": 3}}, "pattern of modules"),
        ({"rank_pattern": ["o_proj"]}, "no usable rank_pattern"),
        ({"alpha_pattern": {"(a+)+x": 3}}, "no usable alpha_pattern"),
        ({"alpha_pattern": {".*.*.*.*.*x": 3}}, "no usable alpha_pattern"),
        ({"alpha_pattern": {"x" * 300: 3}}, "no usable alpha_pattern"),
        ({"trainable_token_indices": [-1]}, "trainable_token_indices"),
    ],
)
def test_settings_that_cannot_be_used_are_named(bases, tmp_path, changes, reason):
    checkpoint, _ = bases("mini")
    adapter = make_adapter(tmp_path / "adapter", checkpoint)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ConversionError, match=reason):
        convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")


@pytest.mark.parametrize(
    ("variant", "changes", "reason"),
    [
        ("mini", {"num_hidden_layers": 1}, r"there is no model\.layers\.1"),
        ("mini", {"hidden_size": 64}, "has the shape"),
        ("medium", {}, "has the shape"),
    ],
)
def test_another_model_is_refused(bases, tmp_path, variant, changes, reason):
    adapter = make_adapter(tmp_path / "adapter", bases("mini")[0])
    other = make_phi3(tmp_path / "other", variant, vocab_size=VOCABULARY, pad_token_id=0, tokenizer=False, **changes)
    with pytest.raises(ConversionError, match=reason) as caught:
        convert_lora(adapter, other, tmp_path / "adapter.gguf")
    assert "does not belong to this checkpoint" in caught.value.message


def test_damaged_folders_are_refused(bases, tmp_path):
    checkpoint, _ = bases("mini")
    adapter = make_adapter(tmp_path / "adapter", checkpoint)
    file = adapter / "adapter_model.safetensors"
    whole = load_file(file)
    name = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"

    def reason(tensors):
        save_file(tensors, file)
        with pytest.raises(ConversionError) as caught:
            convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")
        return caught.value.message

    assert "only one factor" in reason({key: value for key, value in whole.items() if key != name})
    assert "no matrices" in reason(whole | {name: np.zeros(4, np.float32)})
    assert "stored" not in reason(whole | {name: np.full((4, 256), np.nan, np.float32)})
    assert "I64" in reason(whole | {name: np.zeros((4, 256), np.int64)})
    assert "it is empty" in reason({})
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ConversionError):
        convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")
    file.rename(adapter / "adapter_model.bin")
    with pytest.raises(ConversionError, match="Python pickle"):
        convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")
    with pytest.raises(ConversionError, match="no LoRA adapter"):
        convert_lora(checkpoint, checkpoint, tmp_path / "adapter.gguf")
    with pytest.raises(ConversionError, match="no folder"):
        convert_lora(tmp_path / "nowhere", checkpoint, tmp_path / "adapter.gguf")


def _rewritten(adapter, tensors):
    """Add tensors to an adapter."""
    file = adapter / "adapter_model.safetensors"
    named = {f"base_model.model.{name}": tensor.astype(np.float32) for name, tensor in tensors.items()}
    save_file(load_file(file) | named, file)
    return adapter


def _with_stacked_experts(checkpoint, folder):
    """Write a mixture in the layout that transformers 5 has in memory."""
    shutil.copytree(checkpoint, folder)
    tensors = load_file(folder / "model.safetensors")
    for layer in range(2):
        block, mlp = f"model.layers.{layer}.block_sparse_moe", f"model.layers.{layer}.mlp"
        tensors[f"{mlp}.router.weight"] = tensors.pop(f"{block}.gate.weight")
        parts = {w: [tensors.pop(f"{block}.experts.{i}.{w}.weight") for i in range(4)] for w in ("w1", "w2", "w3")}
        gate_up = [np.concatenate(pair) for pair in zip(parts["w1"], parts["w3"], strict=True)]
        tensors[f"{mlp}.experts.gate_up_proj"] = np.stack(gate_up)
        tensors[f"{mlp}.experts.down_proj"] = np.stack(parts["w2"])
    save_file(tensors, folder / "model.safetensors")
    return folder


def _evaluate(log, ids, path, *adapters):
    return session_logits(log, path, ids, *adapters)
