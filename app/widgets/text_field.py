"""Take several lines of plain text.

TextField("You are a careful translator.")      # a QPlainTextEdit that leaves Tab and the window's keys alone
wrap_mode_for(text)                             # how lines must be broken so that no text takes forever
"""

import re

from PySide6.QtCore import QEvent, QMimeData, Qt
from PySide6.QtGui import QDragEnterEvent, QKeyEvent, QTextOption
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from app.widgets.picture_sources import drops_pictures

# Qt breaks a line at words in a time that grows with the square of the longest word.
LONG_WORD = re.compile(r"\S{1000}")


def wrap_mode_for(text: str) -> QTextOption.WrapMode:
    """Return the mode that breaks this text well, or at least in time."""
    if LONG_WORD.search(text):
        return QTextOption.WrapMode.WrapAnywhere
    return QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere


class TextField(QPlainTextEdit):
    """Edit plain text; Tab goes on to the next control and Ctrl+K stays the window's key."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        """Make a field with a text."""
        super().__init__(parent)
        self.setTabChangesFocus(True)
        self.setPlainText(text)

    def setPlainText(self, text: str) -> None:
        """Replace the text."""
        self.setWordWrapMode(wrap_mode_for(text))
        super().setPlainText(text)

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Paste or drop plain text."""
        if LONG_WORD.search(source.text()):
            self.setWordWrapMode(QTextOption.WrapMode.WrapAnywhere)
        super().insertFromMimeData(source)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take text only: files and pictures are for the window."""
        if drops_pictures(event.mimeData()):
            event.ignore()
        else:
            super().dragEnterEvent(event)

    def event(self, event: QEvent) -> bool:
        """Give up the claim that Qt's text fields lay on Ctrl+K (delete to the end of the line)."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            combination = event.keyCombination()
            if (
                combination.key() == Qt.Key.Key_K
                and combination.keyboardModifiers() == Qt.KeyboardModifier.ControlModifier
            ):
                event.ignore()
                return False
        return super().event(event)
