"""Test adapters that change query, key, value, gate and up on their own, on a base that has them fused."""

import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from converter.convert import convert
from converter.errors import ConversionError
from converter.lora import convert_lora
from converter.merged_checkpoint import write_merged
from engine.runtime.native_log import NativeLog
from tests.helpers.adapters import write_adapter
from tests.helpers.checkpoints import make_phi3
from tests.helpers.logits import reference_logits, relative_error
from tests.helpers.sessions import session_logits

VOCABULARY = 1000
# Rows of each part in the fused matrix: 8 heads of 16 values, 2 of them for keys and values; 256 wide.
ROWS = {
    "self_attn.q_proj": ("self_attn.qkv_proj", 0, 128),
    "self_attn.k_proj": ("self_attn.qkv_proj", 128, 160),
    "self_attn.v_proj": ("self_attn.qkv_proj", 160, 192),
    "mlp.gate_proj": ("mlp.gate_up_proj", 0, 256),
    "mlp.up_proj": ("mlp.gate_up_proj", 256, 512),
}
ALPHA, RANK = 8, 4


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fused") / "base"
    return make_phi3(folder, "medium", vocab_size=VOCABULARY, pad_token_id=0, tokenizer=False, sliding_window=2047)


def _factors(parts):
    """Give factors of the parts in all layers; the rank of the value rows is another one."""
    generator = np.random.default_rng(0)
    tensors = {}
    for layer in range(2):
        for part in parts:
            _, start, stop = ROWS[part]
            rank = 2 if part == "self_attn.v_proj" else RANK
            name = f"model.layers.{layer}.{part}"
            tensors[f"{name}.lora_A.weight"] = generator.normal(0, 0.05, (rank, 128)).astype("f4")
            tensors[f"{name}.lora_B.weight"] = generator.normal(0, 0.3, (stop - start, rank)).astype("f4")
    return tensors


def _merged_by_hand(base, folder, tensors):
    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    for name in {name.partition(".lora_")[0] for name in tensors}:
        layer, part = name[: len("model.layers.0.")], name[len("model.layers.0.") :]
        whole, start, stop = ROWS[part]
        a, b = tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"]
        weights[f"{layer}{whole}.weight"] = weights[f"{layer}{whole}.weight"].copy()
        weights[f"{layer}{whole}.weight"][start:stop] += ALPHA / len(a) * b @ a
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize("parts", [tuple(ROWS), ("self_attn.k_proj", "mlp.up_proj")])
def test_parts_are_joined_without_loss(base, tmp_path, parts):
    tensors = _factors(parts)
    patterns = {"rank_pattern": {"v_proj": 2}}
    adapter = write_adapter(tmp_path / "adapter", tensors, r=RANK, lora_alpha=ALPHA, **patterns)
    ids = np.random.default_rng(1).integers(3, VOCABULARY, 40).tolist()
    reference = reference_logits(_merged_by_hand(base, tmp_path / "by hand", tensors), ids)
    written = write_merged(base, adapter, tmp_path / "merged").path
    assert relative_error(reference_logits(written, ids), reference) < 1e-5
    gguf = convert(base, tmp_path / "base.gguf", outtype="f32").path
    kept = convert_lora(adapter, base, tmp_path / "adapter.gguf").path
    assert relative_error(session_logits(NativeLog(), gguf, ids, (kept, 1.0)), reference[-1]) < 1e-4


def test_parts_of_another_model_are_refused(base, tmp_path):
    tensors = _factors(tuple(ROWS))
    name = "model.layers.1.self_attn.k_proj.lora_B.weight"
    tensors[name] = np.zeros((128, RANK), np.float32)
    adapter = write_adapter(tmp_path / "adapter", tensors, rank_pattern={"v_proj": 2})
    with pytest.raises(ConversionError, match=r"there is no model\.layers\.1\.self_attn\.k_proj\.weight"):
        convert_lora(adapter, base, tmp_path / "adapter.gguf")
