"""Take pictures into the profile, each in a process of its own, and tell in the GUI thread what came of each.

intake = PictureIntake(folder)
ticket = intake.begin(source)           # then `taken(ticket, StoredPicture)` or `refused(ticket, EngineError)`
intake.cancel(ticket)                   # then neither of them
"""

import itertools
import tempfile
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.background import Background
from app.widgets.picture_sources import PictureSource
from engine.errors import EngineError
from engine.pictures.intake_process import IntakeProcess
from engine.pictures.stored_picture import StoredPicture

# A large picture takes a gigabyte of memory while it is opened.
PROCESSES = 2


class PictureIntake(QObject):
    """Own the pictures on their way in."""

    taken = Signal(int, object)
    refused = Signal(int, object)

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        """Take pictures into `folder`."""
        super().__init__(parent)
        self._folder = folder
        self._background = Background(self, threads=PROCESSES)
        self._numbers = itertools.count(1)
        self._running: dict[int, _Intake] = {}

    def begin(self, source: PictureSource) -> int:
        """Start with a picture, or put it in line, and return its ticket."""
        ticket = next(self._numbers)
        intake = _Intake(source, self._folder)
        self._running[ticket] = intake
        self._background.run(
            intake.run,
            lambda picture: self._taken(ticket, picture),
            lambda error: self._refused(ticket, error),
        )
        return ticket

    def cancel(self, ticket: int) -> None:
        """Leave a picture out that is on its way in."""
        intake = self._running.pop(ticket, None)
        if intake is not None:
            intake.cancel()

    def close(self) -> None:
        """Leave out everything that is on its way in."""
        for ticket in list(self._running):
            self.cancel(ticket)
        self._background.close()

    def _taken(self, ticket: int, picture: StoredPicture) -> None:
        if self._running.pop(ticket, None) is not None:
            self.taken.emit(ticket, picture)

    def _refused(self, ticket: int, error: Exception) -> None:
        if self._running.pop(ticket, None) is None:
            return
        if isinstance(error, OSError):
            sentence = f"The picture could not be kept ({error.strerror})."
            error = EngineError("disk_full", sentence, "Free some space and try again.")
        if not isinstance(error, EngineError):
            raise error
        self.refused.emit(ticket, error)


class _Intake:
    """Be one picture; bytes go into a file first, because that is what the process takes."""

    def __init__(self, source: PictureSource, folder: Path) -> None:
        self._source = source
        self._folder = folder
        self._process: IntakeProcess | None = None
        self._cancelled = False

    def run(self) -> StoredPicture:
        if self._source.path is not None:
            return self._take(self._source.path)
        with tempfile.TemporaryDirectory(prefix="phidelity-picture-", ignore_cleanup_errors=True) as folder:
            file = Path(folder) / "picture.png"  # Qt chooses the format by the name
            if self._source.pixels is None:
                file.write_bytes(self._source.data)
            elif not self._source.pixels.save(str(file)):
                raise EngineError("picture_invalid", "The picture cannot be pasted.", "Save it and attach the file.")
            return self._take(file)

    def cancel(self) -> None:
        self._cancelled = True
        if self._process is not None:
            self._process.cancel()

    def _take(self, file: Path) -> StoredPicture:
        self._process = IntakeProcess(file, self._folder, self._source.name)
        if self._cancelled:
            self._process.cancel()
        return self._process.run()
