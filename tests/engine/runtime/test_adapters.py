"""Test that a LoRA adapter changes the logits as merging it would."""

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from transformers import AutoModelForCausalLM

from engine.protocol import Adapter
from tests.helpers.logits import relative_error

RANK = 3
WEIGHT = "model.layers.0.self_attn.o_proj.weight"


@pytest.fixture
def factors():
    generator = np.random.default_rng(5)
    return generator.normal(0, 0.3, (RANK, 128)).astype("f4"), generator.normal(0, 0.3, (128, RANK)).astype("f4")


@pytest.fixture
def adapter(tmp_path, factors):
    path = tmp_path / "adapter.gguf"
    writer = GGUFWriter(path, "phi3")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", RANK)
    for name, tensor in zip("ab", factors, strict=True):
        writer.add_tensor(f"blk.0.attn_output.weight.lora_{name}", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def merged_logits(checkpoint, ids, factors, scale):
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").eval()
    a, b = factors
    with torch.no_grad():
        dict(model.named_parameters())[WEIGHT].add_(torch.from_numpy(scale * b @ a))
        return model(torch.tensor([ids])).logits[0, -1:].numpy()


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_an_adapter_equals_its_merged_weights(load_session, tiny, token_ids, adapter, factors, scale):
    checkpoint, path = tiny
    context = load_session(path, adapters=(Adapter(str(adapter), scale),))._context
    ids = token_ids[:40]
    context.fill(ids, lambda *progress: None)
    merged = merged_logits(checkpoint, ids, factors, scale)
    assert relative_error(context.logits()[None], merged) < 1e-4
    assert relative_error(merged, merged_logits(checkpoint, ids, factors, 0.0)) > 1e-2
