"""Let background work know that an answer is being generated: a file whose time says when that was last so."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from engine.library.folders import default_cache_dir

BUSY_SECONDS = 5.0
"""How long after a touch the file still counts, so that a worker that died holds nobody up."""
_SECONDS_BETWEEN_TOUCHES = 1.0


def default_busy_file() -> Path:
    """Give the file that this user's workers touch and training looks at."""
    return default_cache_dir() / "answering"


class BusyMark:
    """Touch the file while something goes on, not more often than needed."""

    def __init__(self, path: Path) -> None:
        """Take where the file lies; its folder is made when needed."""
        self._path = path
        self._touched = 0.0

    def touch(self) -> None:
        """Say that an answer is being generated now; a disk that cannot be written is no reason to stop it."""
        now = time.monotonic()
        if self._touched and now - self._touched < _SECONDS_BETWEEN_TOUCHES:
            return
        self._touched = now
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()

    def clear(self) -> None:
        """Say that nothing goes on any more."""
        self._touched = 0.0
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def is_busy(path: Path) -> bool:
    """Tell whether the file was touched in the last seconds."""
    try:
        return time.time() - path.stat().st_mtime < BUSY_SECONDS
    except OSError:
        return False
