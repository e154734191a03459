"""Adapters go onto every target of an architecture or nowhere; frozen layers below them cost no gradient."""

import pytest
import torch

from engine.errors import EngineError
from engine.training import adapters
from engine.training.adapters import attach_adapter, lora_layers
from engine.training.base import load_weights, open_base
from engine.training.objectives import NextToken
from engine.training.samples import PackedRow
from tests.engine.training.test_samples import items
from tests.helpers.checkpoints import make_phi3, make_phimoe

OPTIONS = {"rank": 4, "alpha": 8, "dropout": 0.0, "upper_layers": 0, "seed": 0}


def test_all_four_fused_projections_are_adapted(tiny_base):
    model = attach_adapter(load_weights(tiny_base, torch.float32), **OPTIONS)
    names = {name.rsplit(".", 1)[-1] for name, _ in lora_layers(model)}
    assert names == {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"} and len(lora_layers(model)) == 8
    assert all("lora_" in name for name, each in model.named_parameters() if each.requires_grad)


def test_attention_of_a_mixture_is_adapted(tmp_path):
    base = open_base(str(make_phimoe(tmp_path / "moe")), tmp_path)
    model = attach_adapter(load_weights(base, torch.float32), **OPTIONS)
    assert {name.rsplit(".", 1)[-1] for name, _ in lora_layers(model)} == {"q_proj", "k_proj", "v_proj", "o_proj"}
    loss = NextToken().loss(model.train(), PackedRow.of(items(12)))
    loss.backward()
    assert torch.isfinite(loss)


def test_partial_match_is_an_error(tiny_base, monkeypatch):
    monkeypatch.setitem(adapters.TARGETS, "phi3", ("q_proj", "o_proj", "down_proj"))
    with pytest.raises(EngineError) as failure:
        attach_adapter(load_weights(tiny_base, torch.float32), **OPTIONS)
    assert failure.value.code == "model_unsupported"


def test_no_gradient_below_the_upper_layers(tmp_path):
    base = open_base(str(make_phi3(tmp_path / "deep", num_hidden_layers=4)), tmp_path)
    model = attach_adapter(load_weights(base, torch.float32), **OPTIONS | {"upper_layers": 1})
    assert {name.split("layers.")[1].split(".")[0] for name, _ in lora_layers(model)} == {"3"}
    seen = []
    for layer in model.get_base_model().model.layers:
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.requires_grad))
    NextToken().loss(model, PackedRow.of(items(12))).backward()
    assert seen == [False, False, False, True]


def test_same_seed_gives_the_same_adapter(tiny_base):
    first, second = (
        {
            name: each.clone()
            for name, each in attach_adapter(load_weights(tiny_base, torch.float32), **OPTIONS).named_parameters()
        }
        for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
