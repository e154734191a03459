"""Install what training needs: download or find the wheels, unpack them beside, check, and put them in place."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from converter.errors import ConversionCancelled
from engine.errors import EngineError
from engine.jobs.events import JobProgress
from engine.jobs.pace import Pace
from engine.launch import child_environment, python_command
from engine.training_environment.download import fetch, is_intact, trust_the_system
from engine.training_environment.environment import Record, TrainingEnvironment, discard
from engine.training_environment.lock import Selection, Wheel
from engine.training_environment.unpack import check_versions, free_bytes, unpack, unpacked_size

Report = Callable[[JobProgress], None]
Stopped = Callable[[], bool]

SPARE_BYTES = 200_000_000
LOG_CHARACTERS = 4000
NAMED = 3


def install(
    environment: TrainingEnvironment, selection: Selection, offline: Path | None, report: Report, stopped: Stopped
) -> dict[str, Any]:
    """Make the environment, or go on with making it; return `path`, `packages` and `size_bytes`.

    `offline` is a folder that holds every wheel; nothing is downloaded then. Raises EngineError, ConversionCancelled
    or OSError; what was downloaded stays, and what was installed before stays until the new packages are complete.
    """
    if environment.partial.exists():
        discard(environment.partial)
    if offline is None:
        missing = selection.download_bytes - environment.downloaded_bytes(selection)
        check_disk(environment.folder, missing + selection.unpacked_bytes)
        files = download(environment, selection, _Meter("download", selection.download_bytes, report, stopped))
    else:
        files = find(offline, selection, _Meter("check", selection.download_bytes, report, stopped))
    size = sum(map(unpacked_size, files))
    check_disk(environment.folder, size)
    environment.partial.mkdir(parents=True)
    meter = _Meter("unpack", size, report, stopped)
    for wheel, file in zip(selection.wheels, files, strict=True):
        meter.begin(wheel.package)
        unpack(file, environment.partial, meter.add)
    check_versions(environment.partial, selection.wheels)
    report(JobProgress("check", 0, 0, "packages"))
    check_imports(environment.partial, selection.imports, stopped)
    environment.write_record(Record(selection.key, selection.build, size))
    if hasattr(os, "sync"):
        os.sync()  # a name that outlives a power failure must not stand for files that did not
    environment.put_in_place()
    return {"path": str(environment.packages), "packages": len(files), "size_bytes": size}


def check_disk(folder: Path, needed: int) -> None:
    """Raise EngineError `disk_full` unless the disk has room for `needed` bytes and a little more."""
    free = free_bytes(folder)
    if free < needed + SPARE_BYTES:
        need = f"{(needed + SPARE_BYTES) / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free"
        raise EngineError("disk_full", f"The disk has too little space: {need}.", "Free some space and go on.")


def download(environment: TrainingEnvironment, selection: Selection, meter: _Meter) -> list[Path]:
    """Download what is not there yet."""
    trust_the_system()
    environment.wheels.mkdir(parents=True, exist_ok=True)
    files = []
    for wheel in selection.wheels:
        meter.begin(wheel.package)
        files.append(fetch(wheel, environment.wheels, meter.reach))
    return files


def find(folder: Path, selection: Selection, meter: _Meter) -> list[Path]:
    """Find every wheel in a folder; raises EngineError `input_invalid` naming what is missing."""
    missing: list[str] = []
    files = []
    for wheel in selection.wheels:
        meter.begin(wheel.package)
        file = folder / wheel.file_name
        if not (file.is_file() and is_intact(file, wheel)):
            missing.append(wheel.file_name)
        files.append(file)
        meter.add(wheel.size_bytes)
    if missing:
        raise _lacking(folder, missing, selection.wheels)
    return files


def _lacking(folder: Path, missing: Sequence[str], wheels: Sequence[Wheel]) -> EngineError:
    names = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
    message = f"The folder {folder.name} lacks {len(missing)} of {len(wheels)} files, or has others: {names}."
    remedy = "Put these files into it; `training-environment status --json` lists all with their addresses."
    return EngineError("input_invalid", message, remedy, "\n".join(missing))


def check_imports(folder: Path, modules: Sequence[str], stopped: Stopped) -> None:
    """Raise EngineError `check_failed` unless the modules can be imported from the folder."""
    command = python_command("engine.training_environment.check", str(folder), *modules)
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    with subprocess.Popen(command, env=child_environment(), creationflags=flags, **options) as process:
        while True:
            try:
                output = process.communicate(timeout=0.2)[0].decode("utf-8", "replace")
                break
            except subprocess.TimeoutExpired:
                if stopped():
                    process.kill()
                    raise ConversionCancelled from None
    if process.returncode:
        message = "The training packages are installed but cannot be loaded on this computer."
        remedy = "Report it with the details; the chat is not affected."
        raise EngineError("check_failed", message, remedy, output[-LOG_CHARACTERS:])


class _Meter:
    """Report bytes of one stage, and end it when the user wants that."""

    def __init__(self, stage: str, total: int, report: Report, stopped: Stopped) -> None:
        self._stage, self._total, self._report, self._stopped = stage, total, report, stopped
        self._pace = Pace()
        self._done = self._before = 0
        self._item = ""

    def begin(self, item: str) -> None:
        """Go over to the next package."""
        self._item, self._before = item, self._done

    def add(self, count: int) -> None:
        """Count more bytes."""
        self.reach(self._done - self._before + count)

    def reach(self, done: int) -> None:
        """Take how much of the present package is done."""
        if self._stopped():
            raise ConversionCancelled
        self._done = self._before + done
        rate, left = self._pace.update(self._done, self._total)
        self._report(JobProgress(self._stage, self._done, self._total, "bytes", rate, left, self._item))
