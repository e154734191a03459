"""Start the process that takes a picture in, and wait for what comes of it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from engine.errors import EngineError
from engine.launch import child_environment, python_command
from engine.pictures.stored_picture import StoredPicture, decode

LONGEST_SECONDS = 90.0
_LOG_LETTERS = 4000
_ANOTHER = "Save it as PNG or JPEG with another program, or choose another picture."
# One thread each: every further one reserves memory that counts against the limit.
_SETTINGS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class IntakeProcess:
    """Be one picture on its way in; `cancel` may be called from another thread than `wait`."""

    def __init__(self, source: Path, folder: Path, name: str, command: Sequence[str] | None = None) -> None:
        """Prepare; `command` replaces the usual process."""
        self._name = name
        self._command = list(command or python_command("engine.pictures", str(source), str(folder), name))
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._cancelled = False

    def run(self, timeout: float = LONGEST_SECONDS) -> StoredPicture:
        """Start the process and block until it is through; raises EngineError."""
        try:
            process = self._start()
        except OSError as error:
            raise EngineError("internal", f"{self._name} cannot be opened: {error.strerror}.", "Try again.") from error
        with process:
            try:
                out, log = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.communicate()
                sentence = f"{self._name} takes too long to open."
                raise EngineError("picture_invalid", sentence, _ANOTHER) from error
        if self._cancelled:
            raise EngineError("cancelled", "Cancelled.")
        outcome = decode(out)
        if isinstance(outcome, EngineError):
            raise outcome
        if outcome is None or process.returncode:
            raise self._death(process.returncode, log[-_LOG_LETTERS:])
        return outcome

    def cancel(self) -> None:
        """End it now, or keep it from starting; `run` then raises EngineError `cancelled`."""
        with self._lock:
            self._cancelled = True
            if self._process is not None:
                with contextlib.suppress(OSError):
                    self._process.kill()

    def _start(self) -> subprocess.Popen[str]:
        with self._lock:
            if self._cancelled:
                raise EngineError("cancelled", "Cancelled.")
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=child_environment() | _SETTINGS,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
            return self._process

    def _death(self, status: int, log: str) -> EngineError:
        """Say in words why there was no outcome."""
        details = f"{log}\nexit status {status}".strip()
        if "MemoryError" in log or (sys.platform != "win32" and status == -signal.SIGKILL):
            sentence = f"There is not enough memory to open {self._name}."
            return EngineError("out_of_memory", sentence, "Close other programs, or make the picture smaller.", details)
        sentence = f"{self._name} cannot be opened: it is damaged or of an unusual kind."
        return EngineError("picture_invalid", sentence, _ANOTHER, details)
