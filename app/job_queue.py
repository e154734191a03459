"""Run jobs one at a time, each in its own process and folder, and follow them across restarts of the window.

    queue = JobQueue(paths.jobs)        # one per process, made in application.py
    queue.resume()                      # finds the jobs of earlier windows: running, waiting, failed
    identity = queue.add(ImportJob(...))
    queue.jobs                          # list of QueuedJob in order
    queue.cancel(identity)              # waiting or running
    queue.retry(identity); queue.dismiss(identity)      # failed ones, which stay until one of the two
    queue.close()                       # stops looking; a running job goes on without the window

Signals: `changed()` whenever `jobs` differs, `succeeded(QueuedJob, JobDone)`.
"""

import itertools
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, QTimer, Signal

from engine.errors import EngineError
from engine.jobs.events import Job, JobDone, JobEvent, JobFailed, JobProgress, decode_job, encode_job
from engine.jobs.handle import JOB_FILE, LOG_FILE, JobHandle, start

POLL_MS = 200


@dataclass(frozen=True)
class QueuedJob:
    """Describe a job of the queue; `identity` is the name of its folder."""

    identity: str
    job: Job
    state: Literal["waiting", "running", "failed"]
    progress: JobProgress | None = None
    failure: JobFailed | None = None
    cancelling: bool = False


class JobQueue(QObject):
    """Own the folder of jobs and run them in the order of their asking."""

    changed = Signal()
    succeeded = Signal(QueuedJob, JobDone)

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        """Use `folder`, which is made when the first job needs it."""
        super().__init__(parent)
        self._folder = folder
        self._jobs: dict[str, QueuedJob] = {}
        self._handles: dict[str, JobHandle] = {}
        self._numbers = itertools.count()
        self._timer = QTimer(self, interval=POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def jobs(self) -> list[QueuedJob]:
        """Return all jobs, the running one before the waiting ones."""
        return sorted(self._jobs.values(), key=lambda each: (each.state != "running", each.identity))

    def resume(self) -> None:
        """Take up what earlier windows left: follow what runs, show what ended, start what waits."""
        for folder in sorted(path for path in self._folder.glob("*") if path.is_dir()):
            try:
                job = decode_job((folder / JOB_FILE).read_text("utf-8"))
            except (EngineError, OSError, UnicodeDecodeError):
                _remove(folder)
                continue
            # A job that was ever started has a log; whether it still runs, ended or died is for its handle to tell.
            started = (folder / LOG_FILE).exists()
            self._jobs[folder.name] = QueuedJob(folder.name, job, "running" if started else "waiting")
            if started:
                self._handles[folder.name] = JobHandle(folder)
        self._poll()
        self.changed.emit()

    def add(self, job: Job) -> str:
        """Put a job at the end and return its identity. Raise `EngineError` when it cannot be written."""
        identity = f"{time.time_ns():020d}-{next(self._numbers)}"
        folder = self._folder / identity
        try:
            folder.mkdir(parents=True)
            (folder / JOB_FILE).write_text(encode_job(job), "utf-8")
        except OSError as fault:
            message = f"The job cannot be written down ({fault.strerror})."
            raise EngineError("disk_full", message, "Free some space and try again.") from fault
        self._jobs[identity] = QueuedJob(identity, job, "waiting")
        self._start_next()
        self.changed.emit()
        return identity

    def cancel(self, identity: str) -> None:
        """Take a waiting job out, or ask the running one to end."""
        job = self._jobs.get(identity)
        if job is None or job.state == "failed":
            return
        if job.state == "waiting":
            self.dismiss(identity)
            return
        self._handles[identity].cancel()
        self._jobs[identity] = replace(job, cancelling=True)
        self.changed.emit()

    def retry(self, identity: str) -> None:
        """Put a failed job at the end of the queue again."""
        job = self._jobs.get(identity)
        if job is not None and job.state == "failed":
            self.add(job.job)
            self.dismiss(identity)

    def dismiss(self, identity: str) -> None:
        """Forget a job that does not run."""
        if self._jobs.pop(identity, None) is not None:
            _remove(self._folder / identity)
            self.changed.emit()

    def close(self) -> None:
        """Stop following; the process of a running job goes on."""
        self._timer.stop()

    def _start_next(self) -> None:
        """Start the first waiting job when none runs."""
        for job in self.jobs:
            if self._handles:
                break
            if job.state != "waiting":
                continue
            try:
                self._handles[job.identity] = start(job.job, self._folder / job.identity)
                self._jobs[job.identity] = replace(job, state="running")
            except EngineError as fault:
                failure = JobFailed(fault.code, fault.message, fault.remedy, fault.details)
                self._jobs[job.identity] = replace(job, state="failed", failure=failure)
        if self._handles:
            self._timer.start()
        else:
            self._timer.stop()

    def _poll(self) -> None:
        """Take what the running jobs report, and start the next one when they have ended."""
        news = False
        for identity, handle in list(self._handles.items()):
            for event in handle.poll():
                news = True
                self._take(identity, event)
            # The process outlives its last event by a moment, in which its folder is still its own.
            if handle.finished and not handle.running():
                del self._handles[identity]
                if identity not in self._jobs:
                    _remove(handle.folder)
        before = len(self._handles)
        self._start_next()
        if news or len(self._handles) != before:
            self.changed.emit()

    def _take(self, identity: str, event: JobEvent) -> None:
        """Bring one job up to date."""
        job = self._jobs[identity]
        if isinstance(event, JobProgress):
            self._jobs[identity] = replace(job, progress=event)
        elif isinstance(event, JobFailed) and event.code != "cancelled":
            self._jobs[identity] = replace(job, state="failed", failure=event)
        elif isinstance(event, JobDone | JobFailed):
            del self._jobs[identity]
            if isinstance(event, JobDone):
                self.succeeded.emit(job, event)


def _remove(folder: Path) -> None:
    # What cannot be deleted now is found and taken up again at the next start.
    shutil.rmtree(folder, ignore_errors=True)
