"""Know where the packages of training lie, in which state they are, and use or remove them.

`packages/` appears only when complete; `packages.part/` and `wheels/` are what an installation that was cut short has
left, and `job/` is the folder of the installation itself (engine/jobs/handle.py).
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from engine.errors import EngineError
from engine.library.folders import APP_NAME
from engine.training_environment.lock import Build, Selection, lock_key

State = Literal["absent", "partial", "ready", "outdated"]
FOLDER_NAME = "training-environment"
RECORD_FILE = "environment.json"


@dataclass(frozen=True)
class Record:
    """Say what was installed: `key` of the selection, its build, and the size of the packages."""

    key: str
    build: Build
    size_bytes: int


@dataclass(frozen=True)
class TrainingEnvironment:
    """Be the folder of one environment."""

    folder: Path

    @property
    def packages(self) -> Path:
        """Return the folder that is put on Python's path."""
        return self.folder / "packages"

    @property
    def partial(self) -> Path:
        """Return the folder in which packages are unpacked."""
        return self.folder / "packages.part"

    @property
    def wheels(self) -> Path:
        """Return the folder of downloads, which lasts until they are installed."""
        return self.folder / "wheels"

    @property
    def job(self) -> Path:
        """Return the folder of the job that installs."""
        return self.folder / "job"

    def record(self) -> Record | None:
        """Read what is installed; None where nothing is."""
        try:
            return Record(**json.loads((self.packages / RECORD_FILE).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def state(self, lock: Path) -> State:
        """Compare what is there with the lock file."""
        record = self.record()
        if record is not None:
            return "ready" if record.key == lock_key(lock) else "outdated"
        is_begun = self.partial.exists() or self.packages.exists() or any(self.wheels.glob("*"))
        return "partial" if is_begun else "absent"

    def downloaded_bytes(self, selection: Selection) -> int:
        """Return how much of the selection is downloaded already."""
        sizes = {file.name.removesuffix(".part"): file.stat().st_size for file in self.wheels.glob("*")}
        return sum(min(sizes.get(wheel.file_name, 0), wheel.size_bytes) for wheel in selection.wheels)

    def write_record(self, record: Record) -> None:
        """Say in the folder that is being made what is in it."""
        (self.partial / RECORD_FILE).write_text(json.dumps(asdict(record)), "utf-8")

    def put_in_place(self) -> None:
        """Let the complete packages take the place of what was there, and forget the downloads."""
        if self.packages.exists():
            discard(self.packages)
        self.partial.replace(self.packages)
        shutil.rmtree(self.wheels, ignore_errors=True)

    def remove(self) -> None:
        """Delete everything. Raises EngineError `busy` while the packages are in use, where the system tells."""
        if self.folder.exists():
            discard(self.folder)


def default_environment() -> TrainingEnvironment:
    """Give the user's environment."""
    return TrainingEnvironment(platformdirs.user_data_path(APP_NAME, appauthor=False) / FOLDER_NAME)


def use(packages: Path, *, first: bool = True) -> None:
    """Let this process import the packages: before those that came with the program, or only what those lack."""
    sys.path.insert(0 if first else len(sys.path), str(packages))
    importlib.invalidate_caches()


def use_ready(environment: TrainingEnvironment, lock: Path, *, first: bool = True) -> bool:
    """Use the packages if they are complete and fit this program, and tell whether they are used."""
    if environment.state(lock) != "ready":
        return False
    use(environment.packages, first=first)
    return True


def discard(folder: Path) -> None:
    """Delete a folder so that it is gone at once or not at all; raises EngineError `busy`."""
    away = folder.with_name(folder.name + ".removed")
    shutil.rmtree(away, ignore_errors=True)
    try:
        folder.replace(away)
    except OSError as error:
        message = "The training packages are in use and cannot be removed now."
        raise EngineError("busy", message, "End what is being trained and try again.", str(error)) from error
    shutil.rmtree(away, ignore_errors=True)
