"""Check the words for runs."""

from datetime import datetime

import pytest

from app.training.wording import (
    duration_text,
    estimate_text,
    method_text,
    pace_text,
    size_text,
    state_text,
    step_text,
    unit_text,
    when_text,
)
from engine.jobs.events import JobProgress, TrainingNotice, TrainJob
from tests.app.training.conftest import ESTIMATE, MakeRun, steps


@pytest.mark.parametrize(
    ("method", "text"),
    [("lora", "LoRA r16"), ("qlora", "QLoRA r16"), ("full", "Full"), ("dpo", "DPO"), ("pretrain", "Continued")],
)
def test_methods(method: str, text: str) -> None:
    assert method_text(TrainJob("starter", "", method)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (63, "63 s"), (100, "2 min"), (5000, "83 min"), (20_000, "6 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_sizes_and_units() -> None:
    assert size_text(80e6) == "80 MB"
    assert size_text(1.94e9) == "1.9 GB"
    assert unit_text("lora", 1) == "1 conversation"
    assert unit_text("dpo", 12) == "12 preferences"
    assert unit_text("pretrain", 3) == "3 texts"


@pytest.mark.parametrize(
    ("day", "text"),
    [((2026, 5, 20, 14, 2), "14:02"), ((2026, 5, 19, 8, 0), "yesterday"), ((2026, 5, 15, 8, 0), "Friday")],
)
def test_days(day: tuple[int, int, int, int, int], text: str) -> None:
    assert when_text(datetime(*day).timestamp(), datetime(2026, 5, 20, 18, 0)) == text


def test_older_days_have_a_date() -> None:
    now = datetime(2026, 5, 20, 18, 0)
    assert when_text(datetime(2026, 1, 3).timestamp(), now) == "3 Jan"
    assert when_text(datetime(2025, 1, 3).timestamp(), now) == "3 Jan 2025"


def test_a_training_run(make_run: MakeRun) -> None:
    run = make_run([ESTIMATE, *steps(13)])
    assert step_text(run) == "Step 13 of 20 · epoch 1.9 of 3"
    assert pace_text(run) == "412 tokens/s · about 9 min left"
    assert estimate_text(run) == "About 4 min · 1.4 GB of memory, 16.0 GB are free · 80 MB on disk · 20 steps"


def test_states_are_told_before_the_figures(make_run: MakeRun) -> None:
    run = make_run([ESTIMATE, *steps(13), TrainingNotice("waiting", "", 13)])
    assert step_text(run) == "Waiting while an answer is written · Step 13 of 20 · epoch 1.9 of 3"
    assert pace_text(run) == ""
    run.take([TrainingNotice("continued", "", 13), JobProgress("check", 0, 0, "answers")])
    assert state_text(run) == "Checking the result…"
