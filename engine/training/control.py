"""Do what others ask a run to do through files in its folder: stop, finish early, pause, let an answer go first."""

import time
from collections.abc import Callable
from pathlib import Path

from engine.busy import is_busy
from engine.jobs.handle import FINISH_FILE, PAUSE_FILE, STOP_FILE

LOOK_SECONDS = 0.2


class Stopped(Exception):
    """End the run where it is; what was learned is in its last checkpoint."""


class RunControl:
    """Look at the files of one run; cheap enough to be asked between micro-steps."""

    def __init__(self, folder: Path, busy_file: Path) -> None:
        """Take the run's folder, and the file that is touched while an answer is generated."""
        self._folder = folder
        self._busy_file = busy_file

    @property
    def stopping(self) -> bool:
        """Tell whether the run is to end now and can be resumed later."""
        return (self._folder / STOP_FILE).exists()

    @property
    def finishing(self) -> bool:
        """Tell whether training is to end here and what was learned is to become the result."""
        return (self._folder / FINISH_FILE).exists()

    @property
    def waiting(self) -> str | None:
        """Give why training must not go on now: `paused`, `waiting` for an answer, or None."""
        if self.stopping or self.finishing:
            return None
        if (self._folder / PAUSE_FILE).exists():
            return "paused"
        return "waiting" if is_busy(self._busy_file) else None

    def check(self) -> None:
        """Raise Stopped when the run is to end."""
        if self.stopping:
            raise Stopped

    def wait(self, on_change: Callable[[str], None]) -> None:
        """Block while training must not go on; `on_change` hears of each reason and of `continued` at the end."""
        told = None
        while (reason := self.waiting) is not None:
            if reason != told:
                on_change(reason)
                told = reason
            time.sleep(LOOK_SECONDS)
        if told is not None:
            on_change("continued")
