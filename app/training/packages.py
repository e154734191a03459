"""Know whether the packages of training are there, and have them installed or removed.

packages = TrainingPackages(default_environment(), program_lock(), background, has_own=...)
packages.resume()           # looks what is there and follows an installation of an earlier window
packages.status             # PackagesStatus; `changed` whenever it differs
packages.install(); packages.install(folder_of_wheels); packages.cancel(); packages.remove()
packages.close()            # stops looking; an installation goes on without the window
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, QTimer, Signal

from app.background import Background
from engine.errors import EngineError
from engine.jobs.events import InstallTrainingJob, JobDone, JobEvent, JobFailed, JobProgress
from engine.jobs.handle import JobHandle, is_worked_on, start
from engine.training_environment.environment import State, TrainingEnvironment
from engine.training_environment.lock import Build, select, suitable_build

POLL_MS = 200


@dataclass(frozen=True)
class PackagesStatus:
    """Describe the packages of training.

    Attributes:
        state: as of the environment; `own` where Python has PyTorch itself, `unknown` until that was looked at.
        build: `cpu` or `cuda`.
        download_bytes, downloaded_bytes: of all packages, and what of it is there already.
        disk_bytes: what the packages take, or will take about.
        doing: what the installation or removal that goes on does; None: nothing goes on.
        progress: of the installation.
        failure: why the last one did not end well.
    """

    state: State | Literal["own", "unknown"] = "unknown"
    build: Build = "cpu"
    download_bytes: int = 0
    downloaded_bytes: int = 0
    disk_bytes: int = 0
    doing: Literal["installing", "cancelling", "removing"] | None = None
    progress: JobProgress | None = None
    failure: JobFailed | None = None

    @property
    def are_needed(self) -> bool:
        """Tell whether training cannot begin yet."""
        return self.state not in ("own", "ready", "unknown")

    @property
    def are_removable(self) -> bool:
        """Tell whether there is anything to remove."""
        return self.state in ("ready", "outdated", "partial") and self.doing is None


class TrainingPackages(QObject):
    """Own the installation; everything slow happens in its process or in a thread."""

    changed = Signal()
    installed = Signal()

    def __init__(
        self,
        environment: TrainingEnvironment,
        lock: Path,
        background: Background,
        *,
        has_own: bool,
        parent: QObject | None = None,
    ) -> None:
        """Take where the packages lie and which they are; `has_own` says that none are needed."""
        super().__init__(parent)
        self._environment, self._lock, self._background = environment, lock, background
        self._handle: JobHandle | None = None
        self._timer = QTimer(self, interval=POLL_MS)
        self._timer.timeout.connect(self._poll)
        self.status = PackagesStatus("own" if has_own else "unknown")

    @property
    def folder(self) -> Path:
        """Return where the packages lie."""
        return self._environment.folder

    def resume(self) -> None:
        """Look what is there, and follow an installation that goes on."""
        if self.status.state == "own":
            return
        if is_worked_on(self._environment.job):
            self._follow(JobHandle(self._environment.job))
        self._look()

    def install(self, wheels: Path | None = None) -> None:
        """Begin, or go on; with a folder of wheels nothing is downloaded."""
        if self.status.doing is not None:
            return
        job = InstallTrainingJob(
            str(self._environment.folder), self.status.build, str(wheels) if wheels else "", str(self._lock)
        )
        try:
            self._follow(start(job, self._environment.job))
        except EngineError as error:
            self._show(failure=_failure(error))

    def cancel(self) -> None:
        """Ask the installation to end; what was downloaded stays."""
        if self._handle is not None:
            self._handle.cancel()
            self._show(doing="cancelling")

    def remove(self) -> None:
        """Delete the packages and what was downloaded."""
        if self.status.doing is not None:
            return
        self._show(doing="removing", failure=None)
        self._background.run(self._environment.remove, self._removed, self._not_removed)

    def close(self) -> None:
        """Stop following; the process goes on."""
        self._timer.stop()

    def _follow(self, handle: JobHandle) -> None:
        self._handle = handle
        self._timer.start()
        self._show(doing="installing", progress=None, failure=None)

    def _poll(self) -> None:
        if self._handle is None:
            return
        for event in self._handle.poll():
            self._take(event)
        if self._handle.finished:
            self._handle = None
            self._timer.stop()

    def _take(self, event: JobEvent) -> None:
        if isinstance(event, JobProgress):
            self._show(progress=event)
        elif isinstance(event, JobDone | JobFailed):
            is_failure = isinstance(event, JobFailed) and event.code != "cancelled"
            self._show(doing=None, progress=None, failure=event if is_failure else None)
            self._look(self.installed.emit if isinstance(event, JobDone) else None)

    def _look(self, then: Callable[[], object] | None = None) -> None:
        self._background.run(
            partial(look, self._environment, self._lock), partial(self._looked, then), self._not_looked
        )

    def _looked(self, then: Callable[[], object] | None, seen: PackagesStatus) -> None:
        now = self.status
        self.status = replace(seen, doing=now.doing, progress=now.progress, failure=now.failure)
        self.changed.emit()
        if then is not None:
            then()

    def _not_looked(self, error: Exception) -> None:
        if not isinstance(error, EngineError):
            raise error
        self._show(state="absent", failure=_failure(error))

    def _removed(self, _nothing: None) -> None:
        self._show(doing=None)
        self._look()

    def _not_removed(self, error: Exception) -> None:
        if not isinstance(error, EngineError):
            raise error
        self._show(doing=None, failure=_failure(error))
        self._look()

    def _show(self, **changes: object) -> None:
        self.status = replace(self.status, **changes)  # type: ignore[arg-type]
        self.changed.emit()


def look(environment: TrainingEnvironment, lock: Path) -> PackagesStatus:
    """See what is there and how much is missing. Raises EngineError where there are no packages for this computer."""
    record = environment.record()
    selection = select(lock, suitable_build())
    return PackagesStatus(
        environment.state(lock),
        selection.build,
        selection.download_bytes,
        environment.downloaded_bytes(selection),
        selection.unpacked_bytes if record is None else record.size_bytes,
    )


def _failure(error: EngineError) -> JobFailed:
    return JobFailed(error.code, error.message, error.remedy, error.details)
