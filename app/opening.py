"""Take files that the desktop asks to open: from later starts of the program, which leave it to the open window."""

import logging
import sys
import uuid
from pathlib import Path

from PySide6.QtCore import QEvent, QFileSystemWatcher, QObject, QTimer, Signal
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication

_ENDING = ".open"
_LONGEST = 65536  # bytes; no system has longer paths


class OpenRequests(QObject):
    """Tell of every file that is to be opened in this window.

    Windows of the same profile share a folder; each request is a file there that holds a path. On macOS the system
    sends requests as events.
    """

    file_requested = Signal(Path)

    def __init__(self, folder: Path, qt: QApplication, parent: QObject | None = None) -> None:
        """Listen from now on; what nobody took before is dropped."""
        super().__init__(parent)
        self._folder = folder
        self._watcher = QFileSystemWatcher(self)
        self._watcher.directoryChanged.connect(self._take)
        if sys.platform == "darwin":
            # Elsewhere nothing is sent, and every event of the window would pass through here.
            qt.installEventFilter(self)
        # Not before the first picture of the window.
        QTimer.singleShot(0, self, self._listen)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Take the system's requests."""
        if isinstance(event, QFileOpenEvent) and event.file():
            self.file_requested.emit(Path(event.file()))
            return True
        return False

    def _listen(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left in self._folder.glob("*" + _ENDING):
                left.unlink()
        except OSError as error:
            logging.warning("files opened from outside will not be noticed: %s", error)
            return
        self._watcher.addPath(str(self._folder))

    def _take(self) -> None:
        for request in sorted(self._folder.glob("*" + _ENDING)):
            try:
                with request.open("rb") as file:
                    text = file.read(_LONGEST).decode("utf-8")
                request.unlink()
            except (OSError, UnicodeDecodeError) as error:
                logging.warning("a request to open a file was not understood: %s", error)
                continue
            if text and "\0" not in text:
                self.file_requested.emit(Path(text))


def hand_over(file: Path, folder: Path) -> None:
    """Ask the open window that listens to `folder` to open a file; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex
    written = folder / f"{name}.part"
    written.write_text(str(file.absolute()), "utf-8")
    written.rename(folder / (name + _ENDING))
