"""Before the start a run knows what it needs, and saves memory only when it must."""

import pytest
import torch

from engine.errors import EngineError
from engine.training import memory
from engine.training.adapters import attach_adapter
from engine.training.base import load_weights
from engine.training.loop import Material
from engine.training.memory import out_of_memory, probe, use_gradient_checkpointing
from engine.training.objectives import NextToken
from engine.training.samples import PackedRow
from tests.engine.training.conftest import EXACT
from tests.engine.training.test_samples import items


@pytest.fixture
def material(tiny_base):
    model = attach_adapter(load_weights(tiny_base, torch.float32), rank=2, alpha=4, dropout=0.0, upper_layers=0, seed=0)
    return Material(model, NextToken(), items(20, 30, 40, 60), (), EXACT, 64, 0)


@pytest.fixture
def free_memory(monkeypatch):
    """Say how much memory is free beside what the process has."""

    class Memory:
        available = 0

    def set_free(available):
        Memory.available = available
        monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: Memory)

    return set_free


def test_probe_measures_and_changes_nothing(material, free_memory):
    free_memory(64 << 30)
    before = {name: each.clone() for name, each in material.model.named_parameters()}
    random_state = torch.get_rng_state()
    measured = probe(material, 2)
    assert measured.seconds_per_token > 0 and measured.longest_row == 60 and not measured.recomputes
    # Two layers of width 128 keep some dozens of float32 rows per token.
    assert 10_000 < measured.saved_bytes_per_token < 1_000_000
    assert torch.equal(torch.get_rng_state(), random_state)
    for name, each in material.model.named_parameters():
        assert torch.equal(each, before[name]) and each.grad is None


def test_layers_are_recomputed_when_memory_needs_it(material, free_memory, monkeypatch):
    monkeypatch.setattr(memory, "_passes", lambda material, rows: (100e6, 1.0))
    free_memory(4 << 30)
    material.model.config.num_hidden_layers = 32
    measured = probe(material, 2)
    material.model.config.num_hidden_layers = 2
    assert measured.recomputes and material.model.get_base_model().model.gradient_checkpointing


def test_recomputing_asks_for_no_gradient_of_frozen_embeddings(material):
    use_gradient_checkpointing(material.model)
    seen = []
    embeddings = material.model.get_input_embeddings()
    embeddings.register_forward_hook(lambda module, inputs, output: seen.append(output.requires_grad))
    material.objective.loss(material.model.train(), PackedRow.of(material.items[:1])).backward()
    assert seen == [False] and all(
        each.grad is not None for name, each in material.model.named_parameters() if "lora_B" in name
    )


def test_too_little_memory_is_one_sentence_with_what_to_lower(material, free_memory):
    free_memory(1000)
    with pytest.raises(EngineError) as failure:
        probe(material, 2)
    assert failure.value.code == "out_of_memory" and "row length" in (failure.value.remedy or "")


def test_failed_allocation_is_out_of_memory_and_other_faults_are_not():
    with pytest.raises(EngineError) as failure, out_of_memory():
        torch.empty(1 << 60)
    assert failure.value.code == "out_of_memory"
    with pytest.raises(RuntimeError), out_of_memory():
        torch.zeros(2) @ torch.zeros(3)
