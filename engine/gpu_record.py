"""Remember across processes that one has died of using a GPU, until its driver changes or the user tries again.

A process leaves a mark before it does what a faulty driver may die of, and takes the mark away afterwards. A mark whose
process is gone tells of a crash.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.gpu_drivers import driver_fingerprint
from engine.library.folders import default_cache_dir

# Clocks of processes are rounded differently from one reading to the next.
_SAME_START_SECONDS = 2.0


def default_gpu_folder() -> Path:
    """Give the folder in which this user's workers leave their marks."""
    return default_cache_dir() / "gpu"


class GpuRecord:
    """Keep the marks of attempts to use GPUs in one folder."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when needed."""
        self._folder = folder

    @contextmanager
    def attempt(self, devices: Sequence[str] = ()) -> Iterator[None]:
        """Mark this process as using devices (none: looking for them) while the block runs."""
        path = self._folder / _file_name(os.getpid())
        mark = {"devices": list(devices), "drivers": driver_fingerprint(), "started": _start_of(os.getpid())}
        # A disk that cannot be written is no reason to leave the GPU alone.
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(mark), "utf-8")
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def crashed(self, devices: Sequence[str] = ()) -> bool:
        """Tell whether a process has died of looking for GPUs, or of using one of `devices`, with these drivers."""
        drivers = driver_fingerprint()
        for path, mark in self._dead():
            if mark.get("drivers") != drivers:
                with suppress(OSError):
                    path.unlink()
            elif not mark["devices"] or set(mark["devices"]) & set(devices):
                return True
        return False

    def forget(self) -> None:
        """Let GPUs be tried again."""
        for path, _ in self._dead():
            with suppress(OSError):
                path.unlink()

    def withdraw(self, process_id: int) -> None:
        """Take away the mark of a process that was ended on purpose."""
        with suppress(OSError):
            (self._folder / _file_name(process_id)).unlink(missing_ok=True)

    def _dead(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Give the marks of processes that are gone; what cannot be read is taken away."""
        with suppress(OSError):
            for path in sorted(self._folder.glob("attempt-*.json")):
                try:
                    mark = json.loads(path.read_text("utf-8"))
                    started, mark["devices"] = float(mark["started"]), [str(name) for name in mark["devices"]]
                    process_id = int(path.stem.removeprefix("attempt-"))
                except (OSError, ValueError, TypeError, KeyError):
                    path.unlink(missing_ok=True)
                    continue
                if abs(_start_of(process_id) - started) > _SAME_START_SECONDS:
                    yield path, mark


def _file_name(process_id: int) -> str:
    return f"attempt-{process_id}.json"


def _start_of(process_id: int) -> float:
    """Give when a process began, in seconds; long before all others where there is none (any more)."""
    import psutil  # what the window imports does not wait for it

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(process_id)
        if process.status() != psutil.STATUS_ZOMBIE:
            return float(process.create_time())
    return -math.inf
