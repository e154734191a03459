"""Give the tests of the Fine-tune page a theme, and runs as the engine leaves them on disk."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication

from app.background import Background
from app.paths import assets_dir
from app.theme import Theme
from app.training.run import Run
from app.training.run_note import RunNote, write_note
from engine.jobs.events import (
    JobDone,
    JobEvent,
    TrainingAnswer,
    TrainingEstimate,
    TrainingEvaluation,
    TrainingNotice,
    TrainingStep,
    TrainJob,
    encode_event,
    encode_job,
)
from engine.jobs.handle import EVENTS_FILE, JOB_FILE, LOG_FILE, PROCESS_FILE

MakeRun = Callable[..., Run]
WriteRun = Callable[..., Path]

ESTIMATE = TrainingEstimate(
    steps=20,
    tokens=9000,
    seconds=240.0,
    memory_bytes=1_400_000_000,
    memory_free=16_000_000_000,
    disk_bytes=80_000_000,
    trained=4_000_000,
    parameters=138_000_000,
    recomputes=False,
    precision="bfloat16",
    rows=53,
    left_out=2,
)


def steps(last: int, of: int = 20) -> list[TrainingStep]:
    """Give the steps of a run whose loss falls."""
    return [TrainingStep(n, of, 3 * n / of, 3.0 - n / 10, 1e-4, 1.0, 412.4, 9.0 * 60) for n in range(1, last + 1)]


def whole_run(folder: Path) -> list[JobEvent]:
    """Give the events of a run that has ended well, with a result in `folder`."""
    made = folder / "result" / "run.lora.gguf"
    return [
        ESTIMATE,
        TrainingNotice("started", "Training begins.", 0),
        TrainingEvaluation(0, 3.1),
        TrainingAnswer(0, "My parcel is late.", "Call the carrier.", "Call the carrier."),
        TrainingAnswer(0, "Can I pay?", "No.", "No."),
        *steps(20),
        TrainingEvaluation(20, 1.42),
        TrainingAnswer(20, "My parcel is late.", "Call the carrier.", "Sorry about the wait!"),
        TrainingAnswer(20, "Can I pay?", "No.", "By card!"),
        JobDone({"path": str(folder / "result" / "adapter"), "adapter": str(made), "card": str(folder / "card.md")}),
    ]


@pytest.fixture
def theme(qapp: QApplication) -> Theme:
    return Theme(qapp, assets_dir(), "light")


@pytest.fixture
def background() -> Iterator[Background]:
    made = Background()
    yield made
    made.close()


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Make runs in memory, started and with these events."""

    def make(events: Sequence[JobEvent] = (), *, started: bool = True, **options: Any) -> Run:
        note = RunNote(**{"title": "Support tone", "base": "Starter", "kept": 56, "confirmed": True,
                          **options.pop("note", {})})  # fmt: skip
        run = Run(tmp_path / note.title, TrainJob("starter", "data.jsonl", **options), note, started=started)
        run.take(events)
        return run

    return make


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Write runs as folders whose process is gone."""

    def write(title: str, events: Sequence[JobEvent] = (), *, started: bool = True, **options: Any) -> Path:
        folder = tmp_path / "runs" / title
        folder.mkdir(parents=True)
        note = RunNote(**{"title": title, "base": "Starter", "kept": 56, "confirmed": True, **options.pop("note", {})})
        (folder / JOB_FILE).write_text(encode_job(TrainJob("starter", "data.jsonl", **options)), "utf-8")
        write_note(folder, note)
        if started:
            (folder / LOG_FILE).touch()
            (folder / EVENTS_FILE).write_text("".join(encode_event(event) + "\n" for event in events), "utf-8")
            (folder / PROCESS_FILE).write_text(json.dumps({"pid": 1, "created": 1.0}))
        return folder

    return write
