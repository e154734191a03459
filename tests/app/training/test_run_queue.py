"""Check that runs are carried out one at a time and taken up again by later windows."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.background import Background
from app.training.run import Run
from app.training.run_note import RunNote, read_note
from app.training.run_queue import RunQueue
from engine.errors import EngineError
from engine.jobs.events import JobFailed, TrainJob
from engine.jobs.handle import EVENTS_FILE, JOB_FILE, PAUSE_FILE
from tests.app.training.conftest import ESTIMATE, WriteRun, steps, whole_run

WAIT_MS = 90_000
MakeQueue = Callable[[], RunQueue]


@pytest.fixture
def make_queue(qtbot: QtBot, background: Background, tmp_path: Path) -> Iterator[MakeQueue]:
    """Make queues over one folder, and see to it that no process of theirs is left."""
    queues: list[RunQueue] = []

    def make() -> RunQueue:
        queues.append(RunQueue(tmp_path / "runs", background))
        return queues[-1]

    yield make
    for queue in queues:
        if queue.active is not None:
            queue.stop(queue.active)
            qtbot.waitUntil(lambda queue=queue: queue.active is None, timeout=WAIT_MS)
        queue.close()


def resumed(qtbot: QtBot, queue: RunQueue) -> RunQueue:
    queue.resume()
    qtbot.waitUntil(lambda: queue.read, timeout=WAIT_MS)
    return queue


def broken_job(tmp_path: Path) -> TrainJob:
    """Give a job whose process ends soon."""
    return TrainJob(str(tmp_path / "no-base"), str(tmp_path / "no-data.jsonl"))


def test_runs_of_earlier_windows_are_found(
    qtbot: QtBot, make_queue: MakeQueue, write_run: WriteRun, tmp_path: Path
) -> None:
    folder = write_run("Done", [], note={"created": 3.0})
    (folder / EVENTS_FILE).unlink()
    write_run("Good", whole_run(tmp_path), note={"created": 2.0})
    write_run("Cut off", [ESTIMATE, *steps(4)], note={"created": 1.0})
    write_run("Left", [*steps(4), JobFailed("cancelled", "Stopped.")], note={"created": 0.0})
    (tmp_path / "runs" / "foreign").mkdir()
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / JOB_FILE).write_text("{", "utf-8")
    queue = resumed(qtbot, make_queue())
    states = [(run.note.title, run.state) for run in queue.runs]
    assert states == [("Done", "failed"), ("Good", "done"), ("Cut off", "failed"), ("Left", "stopped")]
    assert queue.runs[2].failure is not None
    assert queue.runs[2].failure.code == "job_died"
    assert queue.active is None


def test_folders_are_named_after_the_run(make_queue: MakeQueue) -> None:
    queue = make_queue()
    names = [queue.new_folder(title).name for title in ("Support tone", "Support tone", "a/b: c?", "...", "x" * 200)]
    assert names == ["Support tone", "Support tone 2", "a-b- c", "run", "x" * 60]


def test_a_folder_that_cannot_be_made_is_told(make_queue: MakeQueue, tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(EngineError) as caught:
        make_queue().new_folder("Support tone")
    assert caught.value.code == "disk_full"


def test_one_runs_and_the_other_waits_its_turn(qtbot: QtBot, make_queue: MakeQueue, tmp_path: Path) -> None:
    queue = make_queue()
    ended: list[Run] = []
    queue.ended.connect(ended.append)
    first = queue.add(queue.new_folder("First"), broken_job(tmp_path), RunNote("First", created=1.0))
    second = queue.add(queue.new_folder("Second"), broken_job(tmp_path), RunNote("Second", created=2.0))
    third = queue.add(queue.new_folder("Third"), broken_job(tmp_path), RunNote("Third", created=3.0))
    assert [first.state, second.state, third.state] == ["preparing", "queued", "queued"]
    assert queue.active is first
    assert (first.folder / PAUSE_FILE).exists()
    queue.stop(third)
    assert third.state == "stopped"
    qtbot.waitUntil(lambda: len(ended) == 2, timeout=WAIT_MS)
    assert ended == [first, second]
    assert first.failure is not None
    assert first.failure.code == "model_not_found"


def test_a_second_window_follows_what_runs(qtbot: QtBot, make_queue: MakeQueue, tmp_path: Path) -> None:
    first = make_queue()
    run = first.add(first.new_folder("First"), broken_job(tmp_path), RunNote("First"))
    first.close()
    handle = first._handles.pop(run.identity)
    second = resumed(qtbot, make_queue())
    assert second.runs[0].identity == run.identity
    qtbot.waitUntil(lambda: second.runs[0].ended, timeout=WAIT_MS)
    assert second.runs[0].failure is not None
    assert second.runs[0].failure.code == "model_not_found"
    qtbot.waitUntil(lambda: not handle.running(), timeout=WAIT_MS)


def test_a_run_can_begin_again_with_another_job(qtbot: QtBot, make_queue: MakeQueue, write_run: WriteRun) -> None:
    folder = write_run("Old", [ESTIMATE, *steps(4), JobFailed("out_of_memory", "")])
    (folder / "checkpoints").mkdir()
    queue = resumed(qtbot, make_queue())
    run = queue.runs[0]
    queue.start_again(run, TrainJob("no-base", "no-data.jsonl", batch_size=2))
    assert (run.losses, run.estimate, run.note.confirmed) == ({}, None, False)
    assert not (folder / "checkpoints").exists()
    assert json.loads((folder / JOB_FILE).read_text("utf-8"))["batch_size"] == 2
    assert not read_note(folder).confirmed


def test_a_deleted_run_is_gone(qtbot: QtBot, make_queue: MakeQueue, write_run: WriteRun) -> None:
    folder = write_run("Old", [JobFailed("cancelled", "")])
    queue = resumed(qtbot, make_queue())
    queue.delete(queue.runs[0])
    assert queue.runs == []
    qtbot.waitUntil(lambda: not folder.exists(), timeout=WAIT_MS)
