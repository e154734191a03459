"""The untrained model in PyTorch is the reference: embeddings of pictures, logits, gradients where they belong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.training.adapters import attach_adapter
from engine.training.base import load_weights, with_pictures
from engine.training.checkpoints import TrainerState, load_checkpoint, save_checkpoint
from engine.training.memory import use_gradient_checkpointing
from engine.training.objectives import NextToken, label_log_probs
from engine.training.samples import IGNORED, Item, PackedRow, Sample
from engine.training.vision_model import load_projector, projector_of, save_projector
from tests.engine.vision.vectors import CASES, FOLDER

SHORT = [case for case in CASES if case.num_crops == 4]


@pytest.fixture(scope="module")
def seen_in_four_crops(seeing_base, tmp_path_factory):
    base = with_pictures(replace(seeing_base, pictures=None), tmp_path_factory.mktemp("four"), 4, 1, lambda _: None)
    yield base, load_weights(base, torch.float32)
    base.pictures.close()


@pytest.fixture
def trained(seeing_base):
    """Give the model with an adapter and an optimiser that has taken a step."""

    def make():
        model = attach_adapter(
            load_weights(seeing_base, torch.float32), rank=2, alpha=4, dropout=0.0, upper_layers=1, seed=0
        )
        return model, torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=0.1)

    return make


@pytest.mark.parametrize("case", SHORT, ids=str)
def test_logits_of_pictures_are_the_references(seen_in_four_crops, case):
    base, model = seen_in_four_crops
    numbers = [base.pictures.look(FOLDER / name).number for name in case.pictures]
    ids = [token if token >= 0 else -numbers[-token - 1] for token in case.arrays["input_ids"].tolist()]
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False, logits_to_keep=1).logits[0, -1].numpy()
    wanted = case.arrays["logits_stride16"]
    assert np.linalg.norm(logits[::16] - wanted) < 1e-3 * np.linalg.norm(wanted)
    assert logits.argmax() == case.arrays["top_ids"][0]


def test_gradients_reach_the_projector_and_the_adapters_alone(seeing_base, trained):
    model, _ = trained()
    seen = seeing_base.pictures.look(FOLDER / "img2_336x336.png")
    model(torch.tensor([[1, *[-seen.number] * seen.grid.tokens, 1, 5]])).logits[0, -1].square().sum().backward()
    projector = list(projector_of(model).parameters())
    assert len(projector) == 6 and all(each.grad.abs().sum() > 0 for each in projector)
    for name, each in model.named_parameters():
        assert (
            each.requires_grad == ("lora_" in name or "projector" in name)
            and (each.grad is not None) == each.requires_grad
        )


def packed(seeing_base):
    """Give two samples with the same picture and other answers."""
    seen = seeing_base.pictures.look(FOLDER / "img2_336x336.png")
    prompt = (1, *[-seen.number] * seen.grid.tokens, 1, 5)
    answers = ((7, 8, 9), (400, 500))
    return [Item((Sample((*prompt, *answer), (*[IGNORED] * len(prompt), *answer)),)) for answer in answers]


def test_samples_with_pictures_do_not_touch_in_one_row(seeing_base, trained):
    model, items = trained()[0].eval(), packed(seeing_base)
    with torch.no_grad():
        apart = [float(NextToken().loss(model, PackedRow.of([item]))) for item in items]
        together = label_log_probs(model, PackedRow.of(items))[0].neg()
    assert [float(together[:3].sum()), float(together[3:].sum())] == pytest.approx(apart, rel=1e-5)


def test_recomputed_layers_give_the_projector_the_same_gradients(seeing_base, trained):
    gradients = []
    for recomputes in (False, True):
        model = trained()[0].train()
        if recomputes:
            use_gradient_checkpointing(model)
        NextToken().loss(model, PackedRow.of(packed(seeing_base))).backward()
        gradients.append([each.grad for each in projector_of(model).parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        assert torch.allclose(plain, recomputed, rtol=1e-4, atol=1e-6)


def test_text_alone_needs_no_picture(seeing_base):
    model = load_weights(seeing_base, torch.float32)
    ids = torch.tensor([[1, 32010, 29871, 13]])
    embedded = model.get_input_embeddings()(ids)
    assert torch.equal(embedded, model.get_input_embeddings().weight[ids])


def test_projector_comes_back_with_a_checkpoint(trained, tmp_path):
    model, optimizer = trained()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    save_checkpoint(tmp_path, model, optimizer, {"cpu": torch.get_rng_state()}, TrainerState(3, 10, 1.0, "x", 9))
    again, other = trained()
    assert load_checkpoint(tmp_path, again, other)[0].step == 3
    for one, two in zip(projector_of(model).parameters(), projector_of(again).parameters(), strict=True):
        assert torch.equal(one, two)
    (next(tmp_path.iterdir()) / "projector.safetensors").unlink()
    assert load_checkpoint(tmp_path, *trained()) is None


def test_projector_of_another_model_is_refused(seeing_base, tmp_path):
    projector = projector_of(load_weights(seeing_base, torch.float32))
    save_projector(projector, tmp_path)
    projector.glb_GN = torch.nn.Parameter(torch.zeros(1, 1, 8))
    with pytest.raises(RuntimeError):
        load_projector(projector, Path(tmp_path))
