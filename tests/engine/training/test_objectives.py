"""Losses are the textbook's, computed only where something is learned."""

import math

import pytest
import torch

from engine.training.base import load_weights
from engine.training.objectives import NextToken, Preference, label_log_probs, sequence_log_probs
from engine.training.samples import Item, PackedRow
from tests.engine.training.test_samples import items, sample


@pytest.fixture(scope="module")
def model(tiny_base):
    return load_weights(tiny_base, torch.float32)


def test_loss_is_that_of_transformers(model):
    row = PackedRow.of(items(20, 30))
    total = sum(
        model(
            input_ids=torch.tensor([item.samples[0].ids]),
            labels=torch.tensor([item.samples[0].labels]),
            use_cache=False,
        ).loss
        * item.samples[0].learned
        for item in row.items
    )
    objective = NextToken()
    assert objective.loss(model, row).item() == pytest.approx(total.item(), rel=1e-5)
    assert sum(objective.weight(item) for item in row.items) == 8


def test_head_scores_learned_positions_only(model):
    seen = []
    hook = model.lm_head.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[0]))
    label_log_probs(model, PackedRow.of(items(20, 30)))
    hook.remove()
    assert seen == [8]


def test_preference_loss_is_dpo(model):
    pair = (sample(12, 1), sample(15, 2))
    log_probs = [sequence_log_probs(model, PackedRow.of([Item((each,))]))[0].item() for each in pair]
    untouched = PackedRow.of([Item(pair, tuple(log_probs))] * 2)
    assert Preference(0.1).loss(model, untouched).item() == pytest.approx(2 * math.log(2), rel=1e-4)
    moved = PackedRow.of([Item(pair, (log_probs[0] - 3.0, log_probs[1] + 2.0))])
    assert Preference(0.1).loss(model, moved).item() == pytest.approx(-math.log(1 / (1 + math.exp(-0.5))), rel=1e-4)
