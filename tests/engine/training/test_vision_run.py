"""A run on pictures learns, goes on where it was, and hands over files that see and answer as PyTorch does."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from converter.convert import convert
from engine.client import EngineClient
from engine.errors import EngineError
from engine.jobs.events import JobProgress, TrainingEstimate, TrainingStep
from engine.jobs.handle import STOP_FILE
from engine.protocol import Adapter, Chat, Load, Message, Sampling
from engine.training import results
from engine.training.control import Stopped
from engine.training.run import train
from tests.engine.training.vision_runs import ANSWERS, PICTURES, pair_rows, vision_job


@pytest.fixture
def go(seeing_base, write_rows, tmp_path):
    """Carry out a run in this process and give its result and events."""

    def carry_out(rows=None, folder="run", on_event=lambda event: None, **options):
        job = vision_job(seeing_base.folder, write_rows(pair_rows() if rows is None else rows), **options)
        (tmp_path / folder).mkdir(exist_ok=True)
        carry_out.events = events = []

        def report(event):
            events.append(event)
            on_event(event)

        return train(job, tmp_path / folder, report), events

    return carry_out


def losses(events):
    return {event.step: event.loss for event in events if isinstance(event, TrainingStep)}


def test_two_pictures_are_told_apart_in_the_chat_afterwards(go, seeing_base, tmp_path):
    result, events = go(steps=40, checkpoint_steps=40, export_adapter=True, merged="f32", warmup_share=0.0)
    assert losses(events)[40] < 0.02 * losses(events)[1]
    exact, merged = result["checks"]
    assert exact["relative_error"] < 1e-3 and merged["relative_error"] < 1e-3
    assert exact["same_ids"] and merged["same_ids"] and "adapter" not in result
    base = convert(seeing_base.folder, tmp_path / "base.gguf", outtype="f32")
    with closing(EngineClient()) as client:
        loads = (
            Load(str(base.path), adapters=(Adapter(result["seeing_adapter"]),), companion=result["companion"]),
            Load(result["merged"]),
        )
        for load in loads:
            client.call(load)
            for picture, wanted in zip(PICTURES, ANSWERS[:2], strict=False):
                question = (Message("user", "What is it?", (str(picture),)),)
                answer = client.call(Chat(question, Sampling(temperature=0), 24, num_crops=1))
                assert (answer.text.strip(), answer.finish_reason) == (wanted, "stop")
    card = Path(result["card"]).read_text("utf-8")
    assert "projector" in card and "| num crops | 1 |" in card


def test_products_in_bfloat16_learn_too(go):
    result, events = go(steps=6, precision="bfloat16", export_adapter=True)
    assert losses(events)[6] < losses(events)[1]
    assert result["checks"][0]["relative_error"] < 1e-3  # of what was learned, compared in float32
    assert load_file(Path(result["path"]) / "projector.safetensors").popitem()[1].dtype == torch.float32


def change_of_projector(seeing_base, result):
    """Give by how much each tensor of a projector was changed at most."""
    before = load_file(seeing_base.folder / "model.safetensors")
    tuned = load_file(Path(result["path"]) / "projector.safetensors")
    return {name: float((value - before[name].float()).abs().max()) for name, value in tuned.items()}


def test_projector_learns_and_the_tower_stays(go, seeing_base):
    result, events = go(steps=2)
    changes = change_of_projector(seeing_base, result)
    assert len(changes) == 6 and min(changes.values()) > 1e-3
    crops = [event.done for event in events if isinstance(event, JobProgress) and event.stage == "pictures"]
    assert crops == sorted(crops) and crops[-1] == 4
    estimate = next(event for event in events if isinstance(event, TrainingEstimate))
    projector = sum(value.numel() for value in load_file(Path(result["path"]) / "projector.safetensors").values())
    assert estimate.trained > projector > 0.3 * estimate.trained


def test_interrupted_run_goes_on_with_equal_losses(go, tmp_path):
    def stop(event):
        if isinstance(event, TrainingStep) and event.step == 3:
            (tmp_path / "run" / STOP_FILE).touch()

    with pytest.raises(Stopped):
        go(steps=6, dropout=0.1, on_event=stop)
    seen = losses(go.events)
    (tmp_path / "run" / STOP_FILE).unlink()
    shutil.rmtree(tmp_path / "run" / "pictures")
    again = losses(go(steps=6, dropout=0.1)[1])
    assert min(again) == 4 and seen | again == pytest.approx(
        losses(go(steps=6, dropout=0.1, folder="whole")[1]), abs=1e-4
    )


def test_learning_rate_of_the_projector_is_its_own(go, seeing_base):
    changes = change_of_projector(seeing_base, go(steps=1, projector_learning_rate=1e-9)[0])
    assert max(changes.values()) < 1e-7


def test_changed_picture_is_not_gone_on_with(go, tmp_path):
    picture = tmp_path / "p.png"
    shutil.copy(PICTURES[0], picture)
    rows = pair_rows()
    rows[0]["images"] = [str(picture)]
    go(rows, steps=2)
    shutil.copy(PICTURES[2], picture)
    with pytest.raises(EngineError) as failure:
        go(rows, steps=2)
    assert failure.value.code == "input_invalid" and "data has changed" in failure.value.message


def test_files_that_do_not_agree_are_not_handed_over(go, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "EXACT", 0.0)
    with pytest.raises(EngineError) as failure:
        go(steps=1, export_adapter=True)
    assert failure.value.code == "check_failed"
    assert sorted(path.name for path in (tmp_path / "run" / "result").iterdir()) == ["README.md", "adapter"]


@pytest.mark.parametrize("method", ["full", "dpo", "pretrain", "qlora"])
def test_other_methods_are_refused_in_one_sentence(go, method):
    with pytest.raises(EngineError) as failure:
        go(method=method)
    assert failure.value.code == "bad_request" and "lora" in (failure.value.remedy or "")
