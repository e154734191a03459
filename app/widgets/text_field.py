"""Take several lines of plain text.

TextField("You are a careful translator.")      # a QPlainTextEdit that leaves Tab and the window's keys alone
"""

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QPlainTextEdit, QWidget


class TextField(QPlainTextEdit):
    """Edit plain text; Tab goes on to the next control and Ctrl+K stays the window's key."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        """Make a field with a text."""
        super().__init__(text, parent)
        self.setTabChangesFocus(True)

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
