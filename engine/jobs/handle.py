"""Start a job in its own process and follow it through its folder, from any process.

The folder is the truth: `job.json`, `events.jsonl`, `process.json` (id and start time of the process that works on
it), `log.txt` (what it printed), and `stop` (a request to end). A training run also obeys `pause` (wait while the
file is there) and `finish` (make a result of what was learned so far).
"""

import json
import subprocess
import time
from pathlib import Path
from typing import BinaryIO

import psutil

from engine.errors import EngineError
from engine.jobs.events import (
    Job,
    JobDone,
    JobEvent,
    JobFailed,
    TrainJob,
    VerifyJob,
    decode_event,
    decode_job,
    encode_job,
)
from engine.launch import child_environment, python_command, training_command

JOB_FILE, EVENTS_FILE, PROCESS_FILE, LOG_FILE, STOP_FILE = "job.json", "events.jsonl", "process.json", "log.txt", "stop"
PAUSE_FILE, FINISH_FILE = "pause", "finish"
DIED_AFTER_SECONDS = 10.0
"""How long a started process may take to sign `process.json` before it counts as dead."""


class JobHandle:
    """Follow one job. `poll` and `cancel` never block for long, so a timer of the window may call them."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes] | None = None, read_from: int = 0) -> None:
        """Attach to the job in `folder`; `process` is given by `start`, `read_from` by `resume`."""
        self.folder = folder
        self.finished = False
        self._process = process
        self._outcome: JobEvent | None = None
        self._offset = read_from
        self._attached_at = time.monotonic()

    def poll(self) -> list[JobEvent]:
        """Give the events since the last call; JobDone or JobFailed is the last of all and sets `finished`."""
        if self.finished:
            return []
        alive = self.running()  # asked before reading: a process that ends in between has already written everything
        events = self._read_new()
        if events:  # an end that something follows was that of an earlier process of the same run
            self._outcome = events.pop() if isinstance(events[-1], JobDone | JobFailed) else None
            events = [event for event in events if not isinstance(event, JobDone | JobFailed)]
        if not alive:  # the outcome waits for the process to be gone, so that no one meets it again
            events.append(self._outcome or self._death())
            self.finished = True
        return events

    def cancel(self) -> None:
        """Ask the job to end; it answers with JobFailed `cancelled`."""
        (self.folder / STOP_FILE).touch()

    def pause(self) -> None:
        """Ask a training run to wait; it saves what it has and keeps its memory."""
        (self.folder / PAUSE_FILE).touch()

    def go_on(self) -> None:
        """Let a paused run go on."""
        (self.folder / PAUSE_FILE).unlink(missing_ok=True)

    def finish(self) -> None:
        """Ask a training run to end here and to make its result of what was learned so far."""
        (self.folder / FINISH_FILE).touch()

    def wait(self, timeout: float) -> JobDone | JobFailed:
        """Block until the end and return the last event. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for event in self.poll():
                if isinstance(event, JobDone | JobFailed):
                    return event
            time.sleep(0.05)
        raise TimeoutError(f"the job in {self.folder} is still running")

    def running(self) -> bool:
        """Tell whether the process of this job is alive."""
        if self._process is not None:
            return self._process.poll() is None
        owner = _owner(self.folder)
        return owner is not None or (
            not (self.folder / PROCESS_FILE).exists() and time.monotonic() - self._attached_at < DIED_AFTER_SECONDS
        )

    def _read_new(self) -> list[JobEvent]:
        try:
            with open(self.folder / EVENTS_FILE, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        events = (decode_event(line) for line in complete.decode("utf-8", "replace").splitlines())
        return [event for event in events if event is not None]

    def _death(self) -> JobFailed:
        try:
            log = (self.folder / LOG_FILE).read_text("utf-8", "replace")[-4000:]
        except OSError:
            log = ""
        return JobFailed("job_died", "The job ended without a result.", "Start it again.", log or None)


def start(job: Job, folder: Path) -> JobHandle:
    """Write the job into `folder` (made if missing) and start its process, which outlives this one.

    Raises EngineError `busy` when a process already works on this folder, `disk_full` when it cannot be written.
    """
    return _launch(folder, job, (EVENTS_FILE, PROCESS_FILE, STOP_FILE, PAUSE_FILE, FINISH_FILE))


def resume(folder: Path) -> JobHandle:
    """Start the job that `folder` describes again; it goes on where its checkpoints are, and so do its events.

    Raises EngineError `busy`, `disk_full`, or `bad_request` when the folder holds no readable job.
    """
    try:
        job = decode_job((folder / JOB_FILE).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        message = f"There is no run in the folder {folder.name}."
        raise EngineError("bad_request", message, "Choose the folder of a run.", str(error)) from error
    events = folder / EVENTS_FILE
    written = events.stat().st_size if events.exists() else 0
    return _launch(folder, job, (PROCESS_FILE, STOP_FILE, PAUSE_FILE, FINISH_FILE), written)


def _launch(folder: Path, job: Job, stale: tuple[str, ...], read_from: int = 0) -> JobHandle:
    """Remove `stale` files, write the job and start its process; events before the byte `read_from` are old."""
    if _owner(folder) is not None:
        raise EngineError("busy", "This job is already running.", "Wait for it or cancel it.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in stale:
            (folder / name).unlink(missing_ok=True)
        (folder / JOB_FILE).write_text(encode_job(job), "utf-8")
        with open(folder / LOG_FILE, "wb") as log:
            process = _start_process(job, folder, log)
    except OSError as error:
        message = f"The job's folder cannot be written: {error.strerror}."
        raise EngineError("disk_full", message, "Free some space or choose another folder.") from error
    return JobHandle(folder, process, read_from)


def sign(folder: Path) -> None:
    """Write this process into `process.json`, so that others know who works on the folder."""
    me = psutil.Process()
    # Whoever reads a half-written file would take the job for dead.
    partial = folder / (PROCESS_FILE + ".part")
    partial.write_text(json.dumps({"pid": me.pid, "created": me.create_time()}), "utf-8")
    partial.replace(folder / PROCESS_FILE)


def _owner(folder: Path) -> int | None:
    """Give the id of the live process that works on `folder`, else None."""
    try:
        owner = json.loads((folder / PROCESS_FILE).read_text("utf-8"))
        process = psutil.Process(int(owner["pid"]))
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return process.pid if alive and abs(process.create_time() - float(owner["created"])) < 1.0 else None
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None


def is_worked_on(folder: Path) -> bool:
    """Tell whether a process works on the job in `folder`."""
    return _owner(folder) is not None


def _start_process(job: Job, folder: Path, log: BinaryIO) -> subprocess.Popen[bytes]:
    """Start `python -m engine.jobs folder` in a session of its own, so that it outlives the window."""
    # What else a job does must not depend on whether the packages of training are in order.
    command = training_command if isinstance(job, TrainJob | VerifyJob) else python_command
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    return subprocess.Popen(
        command("engine.jobs", str(folder)),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=child_environment(),
        creationflags=flags,
        start_new_session=True,
    )
