"""Catch what nobody caught: keep what was written, and show a report that the user can pass on.

crash = CrashReporter(paths.logs)
crash.install(save=chat.save_draft)
"""

import faulthandler
import logging
import platform
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

from PySide6.QtCore import QObject, Qt, Signal, qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout

from app.widgets.buttons import Button
from app.widgets.labels import Label, WrappedLabel
from engine.version import VERSION

log = logging.getLogger(__name__)


class CrashReporter(QObject):
    """Take unhandled errors of every thread to the GUI thread, save, and show them once."""

    _raised = Signal(str)

    def __init__(self, logs: Path, parent: QObject | None = None) -> None:
        """Write what kills the process outright into a file in `logs`."""
        super().__init__(parent)
        self._save: Callable[[], object] = lambda: None
        self._showing = False
        self._hooks = sys.excepthook, threading.excepthook
        self._fault_file = _open_fault_file(logs)
        if self._fault_file is not None:
            faulthandler.enable(self._fault_file)
        self._raised.connect(self._show, Qt.ConnectionType.QueuedConnection)

    def install(self, save: Callable[[], object]) -> None:
        """Become the one place for unhandled errors; `save` keeps what the user has written."""
        self._save = save
        self._hooks = sys.excepthook, threading.excepthook
        sys.excepthook = self._handle
        threading.excepthook = lambda raised: self._handle(
            raised.exc_type, raised.exc_value or raised.exc_type(), raised.exc_traceback
        )

    def uninstall(self) -> None:
        """Give the hooks back."""
        sys.excepthook, threading.excepthook = self._hooks
        if self._fault_file is not None:
            faulthandler.disable()
            self._fault_file.close()
            self._fault_file = None

    def _handle(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            QApplication.quit()
            return
        text = "".join(traceback.format_exception(kind, error, trace))
        log.error("unhandled error\n%s", text)
        self._raised.emit(text)

    def _show(self, text: str) -> None:
        try:
            self._save()
        except Exception:
            log.exception("saving after an unhandled error failed")
        # One report is enough: an error that comes with every repaint must not bury the user in windows.
        if self._showing:
            return
        self._showing = True
        try:
            CrashDialog(report(text)).exec()
        finally:
            self._showing = False


class CrashDialog(QDialog):
    """Show what happened in a sentence, and the report below it."""

    def __init__(self, text: str) -> None:
        """Make the dialog."""
        super().__init__(QApplication.activeWindow())
        self.setWindowTitle(self.tr("Phidelity"))
        self.resize(640, 420)
        details = QPlainTextEdit(text)
        details.setReadOnly(True)
        details.setAccessibleName(self.tr("Report"))
        copy = Button(self.tr("Copy report"))
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(text))
        leave = Button(self.tr("Quit"))
        leave.clicked.connect(self.accept)
        leave.clicked.connect(QApplication.quit)
        go_on = Button(self.tr("Continue"), "primary")
        go_on.clicked.connect(self.accept)
        buttons = QHBoxLayout()
        buttons.addWidget(copy)
        buttons.addStretch()
        buttons.addWidget(leave)
        buttons.addWidget(go_on)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 20, 20, 16)
        layout.setSpacing(12)
        layout.addWidget(Label(self.tr("Something went wrong inside Phidelity."), "heading"))
        layout.addWidget(WrappedLabel(self.tr("Your chats and what you were writing are saved. You can go on.")))
        layout.addWidget(details)
        layout.addLayout(buttons)


def report(text: str) -> str:
    """Put the versions above a traceback; nothing of the user's chats is in it."""
    versions = f"Phidelity {VERSION}, Python {platform.python_version()}, Qt {qVersion()}, {platform.platform()}"
    return f"{versions}\n\n{text}"


def _open_fault_file(logs: Path) -> IO[str] | None:
    try:
        logs.mkdir(parents=True, exist_ok=True)
        return (logs / "crash.log").open("a", encoding="utf-8")
    except OSError:
        return None
