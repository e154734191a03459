"""However a run is interrupted, it goes on with the losses that it would have had."""

import pytest
import torch

from engine.busy import BUSY_SECONDS, BusyMark, is_busy
from engine.errors import EngineError
from engine.jobs.events import TrainingEvaluation, TrainingNotice, TrainingStep
from engine.jobs.handle import FINISH_FILE, PAUSE_FILE, STOP_FILE
from engine.training import control
from engine.training.adapters import attach_adapter
from engine.training.base import load_weights
from engine.training.checkpoints import ADAPTER_FILE, newest_state
from engine.training.control import RunControl, Stopped
from engine.training.dataset import build_dataset
from engine.training.loop import Material, TrainingLoop
from engine.training.memory import use_gradient_checkpointing
from engine.training.objectives import NextToken
from engine.training.settings import check_job
from tests.engine.training.conftest import EXACT, conversation_rows, examples_of


@pytest.fixture
def start(tiny_base, tiny_encoding, tiny_job, tmp_path):
    """Begin or resume a run in a folder and give its events; `on_event` may interfere."""

    def run(folder="run", on_event=lambda event, material: None, prepare=lambda model: None, rows=None, **options):
        job = check_job(tiny_job(dropout=0.1, **options))
        model = attach_adapter(
            load_weights(tiny_base, torch.float32), rank=4, alpha=8, dropout=0.1, upper_layers=0, seed=0
        )
        prepare(model)
        data = build_dataset(examples_of(rows or conversation_rows()), tiny_encoding, "lora", 64)
        material = Material(model, NextToken(), data.items[:10], data.items[10:], EXACT, 64, 0)
        events = []

        def report(event):
            events.append(event)
            on_event(event, material)

        (tmp_path / folder).mkdir(exist_ok=True)
        steering = RunControl(tmp_path / folder, tmp_path / folder / "busy")
        loop = TrainingLoop(job, material, tmp_path / folder / "checkpoints", steering, report, lambda step: None)
        try:
            loop.run()
        finally:
            run.events = events
        return events

    return run


def losses(events):
    return {event.step: event.loss for event in events if isinstance(event, TrainingStep)}


def test_training_learns(start):
    events = start()
    measured = [event.loss for event in events if isinstance(event, TrainingEvaluation)]
    assert sorted(losses(events)) == [1, 2, 3, 4] and measured[-1] < measured[0]
    assert [event.code for event in events if isinstance(event, TrainingNotice)] == ["started", "saved", "saved"]


def test_stopped_run_goes_on_with_equal_losses(start, tmp_path):
    whole = losses(start("whole"))

    def stop_at_three(event, material):
        if isinstance(event, TrainingStep) and event.step == 3:
            (tmp_path / "run" / STOP_FILE).touch()

    with pytest.raises(Stopped):
        start(on_event=stop_at_three)
    first = losses(start.events)
    assert newest_state(tmp_path / "run" / "checkpoints").step == 3
    (tmp_path / "run" / STOP_FILE).unlink()
    second = losses(start())
    assert sorted(first) == [1, 2, 3] and sorted(second) == [4]
    assert first | second == pytest.approx(whole, abs=1e-4)


def test_damaged_last_checkpoint_costs_its_steps_only(start, tmp_path):
    whole = losses(start())
    last = tmp_path / "run" / "checkpoints" / "step-000004"
    (last / ADAPTER_FILE).write_bytes(b"\x00" * 100)
    assert losses(start()) == pytest.approx({3: whole[3], 4: whole[4]}, abs=1e-4)


def test_changed_data_cannot_go_on(start):
    start(steps=2)
    with pytest.raises(EngineError) as failure:
        start(steps=2, rows=conversation_rows()[::-1])
    assert failure.value.code == "input_invalid"


def test_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(start, tmp_path):
    def poison(event, material):
        if isinstance(event, TrainingStep) and event.step == 3:
            with torch.no_grad():
                material.model.get_base_model().model.norm.weight[0] = float("inf")

    with pytest.raises(EngineError) as failure:
        start(on_event=poison)
    assert failure.value.code == "training_diverged" and "step 4" in failure.value.message
    assert newest_state(tmp_path / "run" / "checkpoints").step == 2
    assert sorted(losses(start.events)) == [1, 2, 3]


def test_finish_ends_early_with_what_was_learned(start, tmp_path):
    def finish_at_one(event, material):
        if isinstance(event, TrainingStep):
            (tmp_path / "run" / FINISH_FILE).touch()

    assert sorted(losses(start(on_event=finish_at_one))) == [1]
    assert newest_state(tmp_path / "run" / "checkpoints").step == 1


def test_pause_saves_and_waits(start, tmp_path, monkeypatch):
    looks = []

    def sleep(seconds):
        looks.append(newest_state(tmp_path / "run" / "checkpoints").step)
        (tmp_path / "run" / PAUSE_FILE).unlink()

    monkeypatch.setattr(control.time, "sleep", sleep)

    def pause_at_three(event, material):
        if isinstance(event, TrainingStep) and event.step == 3:
            (tmp_path / "run" / PAUSE_FILE).touch()

    events = start(on_event=pause_at_three)
    codes = [event.code for event in events if isinstance(event, TrainingNotice)]
    assert looks == [3] and codes == ["started", "saved", "paused", "continued", "saved"]


def test_answers_go_first(start, tmp_path, monkeypatch):
    busy = BusyMark(tmp_path / "run" / "busy")
    waits = []

    def sleep(seconds):
        waits.append(is_busy(tmp_path / "run" / "busy"))
        busy.clear()

    monkeypatch.setattr(control.time, "sleep", sleep)

    def answer_at_two(event, material):
        if isinstance(event, TrainingStep) and event.step == 2:
            busy.touch()

    codes = [event.code for event in start(on_event=answer_at_two) if isinstance(event, TrainingNotice)]
    assert waits == [True] and codes[2:4] == ["waiting", "continued"]


def test_mark_of_a_dead_worker_holds_nobody_up(tmp_path, monkeypatch):
    mark = tmp_path / "deep" / "busy"
    BusyMark(mark).touch()
    assert is_busy(mark)
    now = mark.stat().st_mtime
    monkeypatch.setattr("engine.busy.time.time", lambda: now + BUSY_SECONDS + 1)
    assert not is_busy(mark) and not is_busy(tmp_path / "none")


def test_recomputing_layers_changes_nothing(start):
    assert losses(start("a", prepare=use_gradient_checkpointing, steps=3)) == pytest.approx(
        losses(start("b", steps=3)), abs=1e-4
    )
