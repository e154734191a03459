"""A job is followed through its folder, from any process, to exactly one end."""

import json
from pathlib import Path

import psutil
import pytest

from engine.errors import EngineError
from engine.jobs.events import ImportJob, JobFailed
from engine.jobs.handle import PROCESS_FILE, JobHandle, start


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
