"""Check what the events of a run make of it."""

import pytest

from engine.jobs.events import JobDone, JobFailed, JobProgress, TrainingNotice, TrainingStep
from tests.app.training.conftest import ESTIMATE, MakeRun, steps, whole_run


def test_states_follow_the_events(make_run: MakeRun) -> None:
    assert make_run(started=False).state == "queued"
    run = make_run(note={"confirmed": False})
    assert run.state == "preparing"
    run.take([JobProgress("measure", 0, 0, "rows")])
    assert run.state == "preparing"
    run.take([ESTIMATE, TrainingNotice("paused", "Paused.", 0)])
    assert run.state == "asking"


@pytest.mark.parametrize(
    ("code", "state"), [("paused", "paused"), ("waiting", "yielding"), ("continued", "training"), ("saved", "training")]
)
def test_notices_change_the_state(make_run: MakeRun, code: str, state: str) -> None:
    run = make_run([ESTIMATE, *steps(3), TrainingNotice(code, "", 3)])
    assert run.state == state


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (JobDone({}), "done"),
        (JobFailed("cancelled", ""), "stopped"),
        (JobFailed("out_of_memory", ""), "failed"),
    ],
)
def test_outcomes_end_it(make_run: MakeRun, outcome: JobDone | JobFailed, state: str) -> None:
    run = make_run([*steps(3), outcome])
    assert (run.state, run.ended) == (state, True)


def test_it_finishes_when_asked_to(make_run: MakeRun) -> None:
    run = make_run(steps(3))
    run.finishing = True
    assert run.state == "finishing"


def test_a_step_that_comes_again_replaces_the_former(make_run: MakeRun) -> None:
    run = make_run(steps(5))
    run.take([TrainingStep(4, 20, 0.6, 9.0, 1e-4, 1.0, 400.0, None)])
    assert run.losses[4] == 9.0
    assert len(run.losses) == 5
    assert run.fraction == 0.2


def test_figures_of_a_whole_run(make_run: MakeRun, tmp_path) -> None:
    run = make_run(whole_run(tmp_path))
    assert run.validation_loss == 1.42
    assert run.fraction == 1.0
    assert run.answers[20]["Can I pay?"].tuned == "By card!"
    assert run.result_path("adapter") is None
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "run.lora.gguf").touch()
    assert run.result_path("adapter") == tmp_path / "result" / "run.lora.gguf"


def test_it_begins_again_where_it_was_or_from_the_start(make_run: MakeRun) -> None:
    run = make_run([ESTIMATE, *steps(5), JobFailed("cancelled", "")])
    run.begin()
    assert (run.state, len(run.losses)) == ("training", 5)
    run.begin(run.job)
    assert (run.state, run.losses, run.step) == ("preparing", {}, None)


@pytest.mark.parametrize(
    ("method", "is_adapter"), [("lora", True), ("dpo", True), ("full", False), ("pretrain", False)]
)
def test_methods_make_adapters_or_models(make_run: MakeRun, method: str, is_adapter: bool) -> None:
    assert make_run(method=method).is_adapter is is_adapter
