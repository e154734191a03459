"""Check that jobs run one after another, can be cancelled, and outlive the window that asked for them."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.job_queue import JobQueue, QueuedJob
from engine.errors import EngineError
from engine.jobs.events import ImportJob, JobDone
from engine.jobs.handle import EVENTS_FILE, LOG_FILE, JobHandle

WAIT_MS = 60_000
MakeQueue = Callable[[], JobQueue]


@pytest.fixture
def make_queue(qtbot: QtBot, tmp_path: Path) -> Iterator[MakeQueue]:
    """Make queues over one folder, and see to it that no process of theirs is left."""
    queues: list[JobQueue] = []

    def make() -> JobQueue:
        queues.append(JobQueue(tmp_path / "jobs"))
        return queues[-1]

    yield make
    for queue in queues:
        for job in queue.jobs:
            queue.cancel(job.identity)
        qtbot.waitUntil(lambda queue=queue: not queue._handles, timeout=WAIT_MS)
        queue.close()


def import_job(gguf_file: Path, out: Path) -> ImportJob:
    return ImportJob(str(gguf_file), str(out), name=out.stem)


def states(queue: JobQueue) -> list[str]:
    return [job.state for job in queue.jobs]


def test_jobs_run_one_after_another(qtbot: QtBot, make_queue: MakeQueue, gguf_file: Path, tmp_path: Path) -> None:
    queue = make_queue()
    done: list[tuple[QueuedJob, JobDone]] = []
    queue.succeeded.connect(lambda job, event: done.append((job, event)))
    outs = [tmp_path / "a.gguf", tmp_path / "b.gguf"]
    for out in outs:
        queue.add(import_job(gguf_file, out))
    assert states(queue) == ["running", "waiting"]
    qtbot.waitUntil(lambda: len(done) == 2, timeout=WAIT_MS)
    assert [event.result["path"] for _, event in done] == [str(out) for out in outs]
    assert all(out.read_bytes() == gguf_file.read_bytes() for out in outs)
    qtbot.waitUntil(lambda: not any((tmp_path / "jobs").iterdir()), timeout=WAIT_MS)
    assert queue.jobs == []


def test_cancelled_jobs_leave_nothing(qtbot: QtBot, make_queue: MakeQueue, gguf_file: Path, tmp_path: Path) -> None:
    queue = make_queue()
    running = queue.add(import_job(gguf_file, tmp_path / "a.gguf"))
    waiting = queue.add(import_job(gguf_file, tmp_path / "b.gguf"))
    queue.cancel(waiting)
    assert [job.identity for job in queue.jobs] == [running]
    queue.cancel(running)
    assert queue.jobs[0].cancelling
    qtbot.waitUntil(lambda: queue.jobs == [], timeout=WAIT_MS)
    qtbot.waitUntil(lambda: not any((tmp_path / "jobs").iterdir()), timeout=WAIT_MS)
    assert list(tmp_path.glob("*.gguf*")) == []


def test_a_failure_stays_until_it_is_dismissed(qtbot: QtBot, make_queue: MakeQueue, tmp_path: Path) -> None:
    queue = make_queue()
    queue.add(ImportJob(str(tmp_path / "none.gguf"), str(tmp_path / "out.gguf")))
    qtbot.waitUntil(lambda: states(queue) == ["failed"], timeout=WAIT_MS)
    failure = queue.jobs[0].failure
    assert failure is not None
    assert failure.code == "model_not_found"
    queue.close()

    later = make_queue()
    later.resume()
    assert states(later) == ["failed"]
    assert later.jobs[0].failure == failure
    later.dismiss(later.jobs[0].identity)
    assert later.jobs == []
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_failed_job_can_be_tried_again(qtbot: QtBot, make_queue: MakeQueue, gguf_file: Path, tmp_path: Path) -> None:
    queue = make_queue()
    source = tmp_path / "late.gguf"
    queue.add(import_job(source, tmp_path / "out.gguf"))
    qtbot.waitUntil(lambda: states(queue) == ["failed"], timeout=WAIT_MS)
    source.write_bytes(gguf_file.read_bytes())
    queue.retry(queue.jobs[0].identity)
    qtbot.waitUntil(lambda: queue.jobs == [], timeout=WAIT_MS)
    assert (tmp_path / "out.gguf").exists()


WINDOW = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from app.job_queue import JobQueue
from engine.jobs.events import ImportJob
application = QCoreApplication([])
queue = JobQueue(Path(sys.argv[1]))
for out in sys.argv[3:]:
    queue.add(ImportJob(sys.argv[2], out))
print("queued", flush=True)
application.exec()
"""


def test_jobs_outlive_a_killed_window(qtbot: QtBot, make_queue: MakeQueue, gguf_file: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "a.gguf", tmp_path / "b.gguf"]
    command = [sys.executable, "-c", WINDOW, str(tmp_path / "jobs"), str(gguf_file), *map(str, outs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as window:
        assert window.stdout is not None
        assert window.stdout.readline() == "queued\n"
        window.kill()
    queue = make_queue()
    queue.resume()
    qtbot.waitUntil(lambda: queue.jobs == [], timeout=WAIT_MS)
    assert all(out.read_bytes() == gguf_file.read_bytes() for out in outs)


def test_a_job_whose_process_died_is_shown_as_failed(make_queue: MakeQueue, gguf_file: Path, tmp_path: Path) -> None:
    first = make_queue()
    identity = first.add(import_job(gguf_file, tmp_path / "out.gguf"))
    handle: JobHandle = first._handles[identity]
    assert handle._process is not None
    handle._process.kill()
    handle._process.wait()
    folder = tmp_path / "jobs" / identity
    (folder / "process.json").write_text(json.dumps({"pid": handle._process.pid, "created": 1.0}))
    second = make_queue()
    second.resume()
    failure = second.jobs[0].failure
    assert failure is not None
    assert failure.code == "job_died"


def test_folders_that_are_no_jobs_are_cleared(make_queue: MakeQueue, tmp_path: Path) -> None:
    for name, content in {"broken": b"{", "foreign": b'{"kind": "bake"}', "binary": b"\xff"}.items():
        (tmp_path / "jobs" / name).mkdir(parents=True)
        (tmp_path / "jobs" / name / "job.json").write_bytes(content)
    (tmp_path / "jobs" / "leftover").mkdir()
    (tmp_path / "jobs" / "leftover" / LOG_FILE).touch()
    (tmp_path / "jobs" / "leftover" / EVENTS_FILE).touch()
    queue = make_queue()
    queue.resume()
    assert queue.jobs == []
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(make_queue: MakeQueue, gguf_file: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("in the way")
    with pytest.raises(EngineError) as caught:
        make_queue().add(import_job(gguf_file, tmp_path / "out.gguf"))
    assert caught.value.code == "disk_full"
