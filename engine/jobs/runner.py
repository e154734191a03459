"""Run one job in this process and write what happens to its folder."""

import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from converter.errors import ConversionCancelled, ConversionError
from engine.errors import EngineError
from engine.jobs.events import (
    ImportJob,
    InstallTrainingJob,
    Job,
    JobDone,
    JobEvent,
    JobFailed,
    JobProgress,
    QuantizeJob,
    RepairJob,
    TrainJob,
    VerifyJob,
    decode_job,
    encode_event,
)
from engine.jobs.handle import EVENTS_FILE, JOB_FILE, STOP_FILE, sign
from engine.jobs.import_model import import_model
from engine.jobs.install_training import install_training
from engine.jobs.quantize_model import quantize_model
from engine.jobs.repair_model import repair_model
from engine.jobs.train_model import train_model
from engine.jobs.verify_model import verify_model

PROGRESS_INTERVAL_SECONDS = 0.1

Report = Callable[[JobEvent], None]
Stopped = Callable[[], bool]


def run_job(job: Job, folder: Path, report: Report, stopped: Stopped) -> JobDone | JobFailed:
    """Do the work of any kind of job; every known failure becomes JobFailed, and unknown ones keep their traceback."""
    try:
        match job:
            case ImportJob():
                return JobDone(import_model(job, report, stopped))
            case QuantizeJob():
                return JobDone(quantize_model(job, report, stopped))
            case RepairJob():
                return JobDone(repair_model(job, report, stopped))
            case VerifyJob():
                return JobDone(verify_model(job, report, stopped))
            case TrainJob():
                return JobDone(train_model(job, folder, report))
            case InstallTrainingJob():
                return JobDone(install_training(job, report, stopped))
    except ConversionCancelled:
        return JobFailed("cancelled", "Cancelled.")
    except (EngineError, ConversionError) as error:
        return JobFailed(error.code, error.message, error.remedy, getattr(error, "details", None))
    except MemoryError:
        return JobFailed("out_of_memory", "This computer ran out of memory.", "Close other programs and start again.")
    except OSError as error:
        return JobFailed(*describe_os_error(error), details=traceback.format_exc())
    except Exception:
        message = "Something unexpected went wrong."
        return JobFailed("internal", message, "Start it again; if it comes back, report it.", traceback.format_exc())


def describe_os_error(error: OSError) -> tuple[str, str, str]:
    """Give code, sentence and remedy of a failure of the file system."""
    name = f" ({Path(error.filename).name})" if error.filename else ""
    if error.errno == 28:  # ENOSPC, the same number on every system
        return "disk_full", f"The disk is full{name}.", "Free some space and start again."
    return (
        "file_failed",
        f"A file cannot be read or written{name}: {error.strerror}.",
        "Check the folder and start again.",
    )


def run_folder(folder: Path) -> int:
    """Run the job in `folder`, writing `events.jsonl`; return the exit status."""
    sign(folder)
    with open(folder / EVENTS_FILE, "ab") as events:
        _end_broken_line(folder / EVENTS_FILE, events.fileno())
        try:
            job = decode_job((folder / JOB_FILE).read_text("utf-8"))
        except (EngineError, OSError) as error:
            outcome: JobDone | JobFailed = JobFailed("bad_request", str(error), "Start the job again.")
        else:
            lower_priority()
            report = _Throttled(lambda event: _append(events.fileno(), event))
            outcome = run_job(job, folder, report, (folder / STOP_FILE).exists)
        _append(events.fileno(), outcome)
        os.fsync(events.fileno())
    return 0 if isinstance(outcome, JobDone) else 1


def lower_priority() -> None:
    """Let the window and the chat go first."""
    if sys.platform != "win32":
        os.nice(10)


def _append(descriptor: int, event: JobEvent) -> None:
    os.write(descriptor, encode_event(event).encode() + b"\n")


def _end_broken_line(path: Path, descriptor: int) -> None:
    """Close a line that an earlier process could not finish, so that it spoils no other."""
    if (data := path.read_bytes()) and not data.endswith(b"\n"):
        os.write(descriptor, b"\n")


class _Throttled:
    """Pass on a progress event when the last one is old enough, or when a stage begins or ends; others always."""

    def __init__(self, write: Callable[[JobEvent], None]) -> None:
        self._write = write
        self._written_at = 0.0
        self._stage = ""

    def __call__(self, event: JobEvent) -> None:
        if not isinstance(event, JobProgress):
            self._write(event)
            return
        now = time.monotonic()
        if (
            event.stage == self._stage
            and event.done != event.total
            and now - self._written_at < PROGRESS_INTERVAL_SECONDS
        ):
            return
        self._written_at, self._stage = now, event.stage
        self._write(event)
