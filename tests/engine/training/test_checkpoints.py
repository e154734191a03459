"""Checkpoints come back as they were, are complete or passed over, and do not pile up."""

import errno

import pytest
import torch

from engine.errors import EngineError
from engine.training.adapters import attach_adapter
from engine.training.base import load_weights
from engine.training.checkpoints import (
    ADAPTER_FILE,
    OPTIMIZER_FILE,
    RANDOM_FILE,
    STATE_FILE,
    TrainerState,
    load_checkpoint,
    newest_state,
    save_checkpoint,
)


@pytest.fixture
def trained(tiny_base):
    """Give an adapter with an optimiser that has taken a step."""

    def make():
        model = attach_adapter(
            load_weights(tiny_base, torch.float32), rank=2, alpha=4, dropout=0.0, upper_layers=1, seed=0
        )
        optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=0.1)
        return model, optimizer

    model, optimizer = make()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return model, optimizer, make


def save(folder, trained, step):
    model, optimizer, _ = trained
    return save_checkpoint(
        folder, model, optimizer, {"cpu": torch.get_rng_state()}, TrainerState(step, 10, 1.0, "x", 9)
    )


def adapter_of(model):
    return {name: each.detach().clone() for name, each in model.named_parameters() if each.requires_grad}


def test_everything_comes_back(tmp_path, trained):
    save(tmp_path, trained, 3)
    model, optimizer = trained[2]()
    state, random_state = load_checkpoint(tmp_path, model, optimizer)
    assert state == TrainerState(3, 10, 1.0, "x", 9) and torch.equal(random_state["cpu"], torch.get_rng_state())
    before = adapter_of(trained[0])
    assert before and all(torch.equal(before[name], value) for name, value in adapter_of(model).items())
    assert all(
        torch.equal(a["exp_avg"], b["exp_avg"])
        for a, b in zip(optimizer.state.values(), trained[1].state.values(), strict=True)
    )


def test_last_two_are_kept(tmp_path, trained):
    for step in (1, 2, 3, 10):
        save(tmp_path, trained, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000003", "step-000010"]


@pytest.mark.parametrize("name", [ADAPTER_FILE, OPTIMIZER_FILE, RANDOM_FILE, STATE_FILE])
@pytest.mark.parametrize("damage", ["missing", "short", "garbled"])
def test_damaged_checkpoint_is_passed_over(tmp_path, trained, name, damage):
    save(tmp_path, trained, 1)
    file = save(tmp_path, trained, 2) / name
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(data[: len(data) // 2] if damage == "short" else b"\xff" * len(data))
    model, optimizer = trained[2]()
    found = load_checkpoint(tmp_path, model, optimizer)
    assert found is not None and found[0].step == 1


def test_half_written_checkpoint_does_not_count(tmp_path, trained):
    save(tmp_path, trained, 1).rename(tmp_path / "step-000002.part")
    model, optimizer = trained[2]()
    assert load_checkpoint(tmp_path, model, optimizer) is None and newest_state(tmp_path) is None


def test_full_disk_is_one_sentence_and_loses_nothing(tmp_path, trained, monkeypatch):
    save(tmp_path, trained, 1)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(EngineError) as failure:
        save(tmp_path, trained, 2)
    assert failure.value.code == "disk_full"
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_adapter_configuration_has_no_path_of_this_computer(tmp_path, trained, tiny_base):
    text = (save(tmp_path, trained, 1) / "adapter_config.json").read_text("utf-8")
    assert str(tiny_base.folder.parent) not in text and tiny_base.folder.name in text
