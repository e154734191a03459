"""Carry out runs one at a time, each in its own process and folder, and follow them across restarts of the window.

    queue = RunQueue(paths.runs, background)
    queue.resume()                          # finds the runs of earlier windows; `changed` when they have been read
    folder = queue.new_folder("Support tone")
    queue.add(folder, TrainJob(...), RunNote("Support tone"))
    queue.confirm(run)                      # after the estimate
    queue.pause(run); queue.go_on(run); queue.finish(run); queue.stop(run)
    queue.start_again(run, job=None)        # one that was stopped or failed; another job starts all over again
    queue.delete(run)
    queue.close()                           # stops looking; a run goes on without the window

Signals: `changed()` whenever something differs, `ended(Run)` once for each run that ends while it is followed,
`failed(str)`: something
could not be written or deleted.
"""

import itertools
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.background import Background
from app.training.run import Run
from app.training.run_note import RunNote, read_note, write_note
from engine.errors import EngineError
from engine.jobs.events import JobFailed, TrainJob, decode_job, encode_job
from engine.jobs.handle import EVENTS_FILE, FINISH_FILE, JOB_FILE, LOG_FILE, JobHandle, resume, start

POLL_MS = 250
LONGEST_NAME = 60


class RunQueue(QObject):
    """Own the folder of runs."""

    changed = Signal()
    ended = Signal(Run)
    failed = Signal(str)

    def __init__(self, folder: Path, background: Background, parent: QObject | None = None) -> None:
        """Use `folder`, which is made when the first run needs it."""
        super().__init__(parent)
        self._folder = folder
        self._background = background
        self._runs: dict[str, Run] = {}
        self._handles: dict[str, JobHandle] = {}
        self._timer = QTimer(self, interval=POLL_MS)
        self._timer.timeout.connect(self._poll)
        self.read = False

    @property
    def runs(self) -> list[Run]:
        """Return all runs, the newest first."""
        return sorted(self._runs.values(), key=lambda run: run.note.created, reverse=True)

    @property
    def active(self) -> Run | None:
        """Return the run that goes on."""
        return next((self._runs[identity] for identity in self._handles if identity in self._runs), None)

    def resume(self) -> None:
        """Take up what earlier windows left; events may be long, so they are read in a thread."""
        self._background.run(lambda: read_runs(self._folder), self._take_up)

    def new_folder(self, title: str) -> Path:
        """Make the folder of a run that is about to be added. Raises EngineError."""
        stem = re.sub(r'[<>:"/\\|?*\x00-\x1f]+', "-", title).strip(" .-")[:LONGEST_NAME] or "run"
        names = itertools.chain([stem], (f"{stem} {number}" for number in itertools.count(2)))
        folder = next(self._folder / name for name in names if not (self._folder / name).exists())
        try:
            folder.mkdir(parents=True)
        except OSError as fault:
            raise _cannot_write(fault) from fault
        return folder

    def add(self, folder: Path, job: TrainJob, note: RunNote) -> Run:
        """Put a run at the end of the queue. Raises EngineError when it cannot be written."""
        try:
            (folder / JOB_FILE).write_text(encode_job(job), "utf-8")
            write_note(folder, note)
        except OSError as fault:
            raise _cannot_write(fault) from fault
        run = self._runs[folder.name] = Run(folder, job, note)
        self._start_next()
        self.changed.emit()
        return run

    def confirm(self, run: Run) -> None:
        """Let a run train whose estimate the user has seen."""
        self._note(run, replace(run.note, confirmed=True))
        self.go_on(run)

    def pause(self, run: Run) -> None:
        """Ask a run to wait."""
        self._touch(run, lambda handle: handle.pause())

    def go_on(self, run: Run) -> None:
        """Let a paused run train."""
        self._touch(run, lambda handle: handle.go_on())

    def finish(self, run: Run) -> None:
        """End a run here and keep what was learned."""
        run.finishing = True
        self._touch(run, lambda handle: handle.finish())

    def stop(self, run: Run) -> None:
        """End a run; it can be started again where it was. One that waits for its turn leaves the queue."""
        if not run.started:
            run.outcome = JobFailed("cancelled", "The run was taken out of the queue.")
            run.started = True
            self.changed.emit()
            return
        self._touch(run, lambda handle: handle.cancel())

    def start_again(self, run: Run, job: TrainJob | None = None) -> None:
        """Queue a run that has ended: where it was, or with another job all over again."""
        if run.identity in self._handles:
            return
        if job is not None:
            shutil.rmtree(run.folder / "checkpoints", ignore_errors=True)
            (run.folder / EVENTS_FILE).unlink(missing_ok=True)
            run.begin(job)
        run.started, run.outcome = False, None
        self._note(run, replace(run.note, confirmed=run.note.confirmed and job is None))
        self._start_next()
        self.changed.emit()

    def delete(self, run: Run) -> None:
        """Remove a run that has ended, with all it made."""
        if run.identity not in self._handles:
            self._runs.pop(run.identity, None)
            self._background.run(lambda: _remove(run.folder), lambda problem: self._deleted(run, problem))
            self.changed.emit()

    def close(self) -> None:
        """Stop following; the process of a run goes on."""
        self._timer.stop()

    def _deleted(self, run: Run, problem: str | None) -> None:
        if problem is not None:
            self._runs[run.identity] = run
            self.failed.emit(problem)
            self.changed.emit()

    def _touch(self, run: Run, ask: Callable[[JobHandle], None]) -> None:
        handle = self._handles.get(run.identity)
        if handle is None:
            return
        try:
            ask(handle)
        except OSError as fault:
            self.failed.emit(_cannot_write(fault).message)
        self.changed.emit()

    def _note(self, run: Run, note: RunNote) -> None:
        run.note = note
        try:
            write_note(run.folder, note)
        except OSError as fault:
            self.failed.emit(_cannot_write(fault).message)

    def _take_up(self, found: list[tuple[Run, JobHandle | None]]) -> None:
        for run, handle in found:
            if run.identity in self._runs:
                continue
            self._runs[run.identity] = run
            if handle is not None:
                self._handles[run.identity] = handle
        self.read = True
        self._start_next()
        self.changed.emit()

    def _start_next(self) -> None:
        """Start the first run that waits when none goes on."""
        waiting = sorted(
            (run for run in self._runs.values() if run.state == "queued"), key=lambda run: run.note.created
        )
        for run in waiting:
            if self._handles:
                break
            # A run that has events was started before: it goes on where it was.
            again = (run.folder / EVENTS_FILE).exists()
            run.begin()
            try:
                handle = resume(run.folder) if again else start(run.job, run.folder)
                if not run.note.confirmed:
                    handle.pause()
                self._handles[run.identity] = handle
            except EngineError as fault:
                run.outcome = JobFailed(fault.code, fault.message, fault.remedy, fault.details)
            except OSError as fault:
                run.outcome = JobFailed("disk_full", _cannot_write(fault).message, "Free some space and try again.")
        if self._handles:
            self._timer.start()
        else:
            self._timer.stop()

    def _poll(self) -> None:
        """Take what runs report, and start the next one when one has ended."""
        news = False
        for identity, handle in list(self._handles.items()):
            run = self._runs[identity]
            events = handle.poll()
            run.take(events)
            news = news or bool(events)
            if handle.finished:
                del self._handles[identity]
                self.ended.emit(run)
        if news:
            self._start_next()
            self.changed.emit()


def read_runs(folder: Path) -> list[tuple[Run, JobHandle | None]]:
    """Read the runs in `folder`, each with what follows it if it still goes on."""
    found = []
    for path in sorted(path for path in folder.glob("*") if (path / JOB_FILE).is_file()):
        try:
            job = decode_job((path / JOB_FILE).read_text("utf-8"))
        except (EngineError, OSError, UnicodeDecodeError):
            continue
        if isinstance(job, TrainJob):
            found.append(_read_run(path, job))
    return found


def _read_run(folder: Path, job: TrainJob) -> tuple[Run, JobHandle | None]:
    run = Run(folder, job, read_note(folder))
    if not (folder / LOG_FILE).exists():
        return run, None
    run.started, run.finishing = True, (folder / FINISH_FILE).exists()
    handle = JobHandle(folder)
    run.take(handle.poll())
    return run, None if handle.finished else handle


def _remove(folder: Path) -> str | None:
    """Remove a folder and return what went wrong."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return None
    except OSError as fault:
        return f"{folder.name} cannot be deleted: {fault.strerror}."
    return None


def _cannot_write(fault: OSError) -> EngineError:
    message = f"The run cannot be written down ({fault.strerror})."
    return EngineError("disk_full", message, "Free some space and try again.")
