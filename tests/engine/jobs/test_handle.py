"""A job is followed through its folder, from any process, to exactly one end."""

import json
from pathlib import Path

import psutil
import pytest

from engine.errors import EngineError
from engine.jobs.events import ImportJob, JobFailed, TrainingEvaluation, encode_event
from engine.jobs.handle import DIED_AFTER_SECONDS, EVENTS_FILE, PROCESS_FILE, JobHandle, resume, start


def test_failure_is_one_event_with_a_sentence(tmp_path: Path) -> None:
    handle = start(ImportJob(str(tmp_path / "none.gguf"), str(tmp_path / "out.gguf")), tmp_path / "job")
    outcome = handle.wait(60)
    assert isinstance(outcome, JobFailed)
    assert outcome.code == "model_not_found" and outcome.message.endswith(".")
    assert handle.finished and handle.poll() == [] and not (tmp_path / "out.gguf").exists()


def test_another_process_reads_the_same_end(tmp_path: Path) -> None:
    job = ImportJob(str(tmp_path / "none.gguf"), str(tmp_path / "out.gguf"))
    first = start(job, tmp_path / "job").wait(60)
    assert JobHandle(tmp_path / "job").wait(5) == first


def test_killed_process_ends_as_job_died(tmp_path: Path) -> None:
    source = tmp_path / "large.gguf"
    source.touch()
    handle = start(ImportJob(str(source), str(tmp_path / "out.gguf")), tmp_path / "job")
    process = handle._process
    assert process is not None
    process.kill()
    outcome = handle.wait(30)
    assert isinstance(outcome, JobFailed) and outcome.code == "job_died"


def test_folder_in_use_is_refused(tmp_path: Path) -> None:
    me = psutil.Process()
    (tmp_path / PROCESS_FILE).write_text(json.dumps({"pid": me.pid, "created": me.create_time()}))
    with pytest.raises(EngineError) as failure:
        start(ImportJob("a", "b"), tmp_path)
    assert failure.value.code == "busy"


def test_process_number_used_again_is_not_the_job(tmp_path: Path) -> None:
    (tmp_path / PROCESS_FILE).write_text(json.dumps({"pid": psutil.Process().pid, "created": 1.0}))
    outcome = JobHandle(tmp_path).wait(5)
    assert isinstance(outcome, JobFailed) and outcome.code == "job_died"


def test_resumed_job_tells_only_of_itself(tmp_path: Path) -> None:
    job = ImportJob(str(tmp_path / "none.gguf"), str(tmp_path / "out.gguf"))
    start(job, tmp_path / "job").wait(60)
    with open(tmp_path / "job" / EVENTS_FILE, "a", encoding="utf-8") as events:
        events.write('{"event":"prog')
    outcome = resume(tmp_path / "job").wait(60)
    lines = (tmp_path / "job" / EVENTS_FILE).read_text("utf-8").splitlines()
    assert isinstance(outcome, JobFailed) and [line.startswith('{"event":"error"') for line in lines] == [
        True,
        False,
        True,
    ]


def test_earlier_end_of_a_run_is_not_its_end(tmp_path: Path) -> None:
    me = psutil.Process()
    (tmp_path / PROCESS_FILE).write_text(json.dumps({"pid": me.pid, "created": me.create_time()}))
    step = TrainingEvaluation(3, 1.5)
    events = [JobFailed("cancelled", "Cancelled."), step]
    (tmp_path / EVENTS_FILE).write_text("".join(encode_event(event) + "\n" for event in events))
    handle = JobHandle(tmp_path)
    assert handle.poll() == [step] and not handle.finished
    (tmp_path / PROCESS_FILE).unlink()
    handle._attached_at = -DIED_AFTER_SECONDS
    outcome = handle.poll()[-1]
    assert isinstance(outcome, JobFailed) and outcome.code == "job_died"


def test_folder_without_a_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as failure:
        resume(tmp_path)
    assert failure.value.code == "bad_request"
