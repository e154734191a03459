"""Copy a text to the clipboard and say so."""

from collections.abc import Callable

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from app.widgets.buttons import Button

COPIED_MS = 1500


class CopyButton(Button):
    """Copy what `text` gives, and say "Copied" for a moment."""

    def __init__(self, accessible_name: str, text: Callable[[], str], parent: QWidget | None = None) -> None:
        """Make the button."""
        super().__init__(self.tr("Copy"), "small-text", parent)
        self.setAccessibleName(accessible_name)
        self._text = text
        self._moment = QTimer(self, singleShot=True, interval=COPIED_MS)
        self._moment.timeout.connect(lambda: self.setText(self.tr("Copy")))
        self.clicked.connect(self._copy)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text())
        self.setText(self.tr("Copied"))
        self._moment.start()
