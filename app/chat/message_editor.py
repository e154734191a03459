"""Let a message be written anew in its place."""

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QTextCursor
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.widgets.buttons import Button
from app.widgets.labels import Label
from app.widgets.text_field import TextField


class MessageEditor(QFrame):
    """Hold the text being edited, a remark, Cancel, and what takes it over."""

    submitted = Signal(str)
    cancelled = Signal()

    def __init__(
        self,
        text: str,
        name: str,
        submit: str,
        parent: QWidget,
        *,
        remark: str = "",
        may_be_empty: bool = False,
        enter_submits: bool = True,
    ) -> None:
        """Edit `text`; `submit` is what the button says. Ctrl+Enter submits always, Enter alone where it is to."""
        super().__init__(parent)
        self.setProperty("kind", "card")
        self._may_be_empty, self._enter_submits = may_be_empty, enter_submits
        self._text = TextField(text)
        self._text.setProperty("kind", "plain")
        self._text.setAccessibleName(name)
        self._text.installEventFilter(self)
        cancel = Button(self.tr("Cancel"))
        cancel.clicked.connect(self.cancelled)
        self._send = Button(submit, "primary")
        self._send.clicked.connect(self._submit)
        buttons = QHBoxLayout()
        buttons.addWidget(Label(remark, "small"))
        buttons.addStretch()
        buttons.addWidget(cancel)
        buttons.addWidget(self._send)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 10)
        layout.addWidget(self._text)
        layout.addLayout(buttons)

    def set_busy(self, busy: bool) -> None:
        """Take nothing over while an answer is being written; what was typed stays."""
        self._send.setEnabled(not busy)

    def take_focus(self) -> None:
        """Put the caret at the end of the text."""
        self._text.setFocus(Qt.FocusReason.OtherFocusReason)
        self._text.moveCursor(QTextCursor.MoveOperation.End)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Submit on Enter and cancel on Esc."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:
                self.cancelled.emit()
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._submits(event):
                self._submit()
                return True
        return super().eventFilter(watched, event)

    def _submits(self, event: QKeyEvent) -> bool:
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        alone = self._enter_submits and not modifiers
        return alone or modifiers == Qt.KeyboardModifier.ControlModifier

    def _submit(self) -> None:
        text = self._text.toPlainText().strip()
        if self._send.isEnabled() and (text or self._may_be_empty):
            self.submitted.emit(text)
