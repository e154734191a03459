"""Tell and ask the user: the only opener of message boxes, and of the line with Undo at the foot of the window.

notices.say("Chat moved to the trash.", "Undo", restore)       # fades by itself; the button is optional
notices.show_error(error)                                      # anything with .message and .remedy
if notices.confirm("Delete Phi-3.5-mini?", "The file is removed from this computer.", "Delete"): ...
"""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMessageBox, QWidget

from app.widgets.buttons import Button
from app.widgets.labels import Label

SHOWN_MS = 8000
# High enough to leave the composer free.
BOTTOM_MARGIN = 124


class Notices(QObject):
    """Speak to the user from one place."""

    def __init__(self, window: QWidget) -> None:
        """Show everything over `window`."""
        super().__init__(window)
        self._window = window
        self._line = _NoticeLine(window)
        window.installEventFilter(self)

    def say(self, sentence: str, action: str | None = None, on_action: Callable[[], object] | None = None) -> None:
        """Show a sentence for some seconds, with a button that does something about it."""
        self._line.show_sentence(sentence, action, on_action, stays=False)

    def say_until_read(self, sentence: str) -> None:
        """Show a sentence that must not be missed, until the user has answered it."""
        self._line.show_sentence(sentence, self.tr("OK"), None, stays=True)

    def show_error(self, error: Exception) -> None:
        """Show a known failure: its sentence, and its remedy below."""
        box = QMessageBox(QMessageBox.Icon.NoIcon, self.tr("Phidelity"), str(error), parent=self._window)
        remedy = getattr(error, "remedy", None)
        if remedy:
            box.setInformativeText(remedy)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.exec()

    def confirm(self, question: str, consequence: str, action: str) -> bool:
        """Ask before something that cannot be undone; return whether the user wants it."""
        box = QMessageBox(QMessageBox.Icon.NoIcon, self.tr("Phidelity"), question, parent=self._window)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setInformativeText(consequence)
        agree = box.addButton(action, QMessageBox.ButtonRole.AcceptRole)
        cancel = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(cancel)
        box.setEscapeButton(cancel)
        box.exec()
        return box.clickedButton() is agree

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the line at the foot of the window."""
        if watched is self._window and event.type() == QEvent.Type.Resize and self._line.isVisible():
            self._line.place()
        return False


def show_start_failure(error: Exception) -> None:
    """Say why there is no window at all."""
    box = QMessageBox(QMessageBox.Icon.NoIcon, "Phidelity", str(error))
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setInformativeText(getattr(error, "remedy", None) or "")
    box.exec()


class _NoticeLine(QFrame):
    """Float a sentence over the foot of the window."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.setProperty("kind", "notice")
        self._sentence = Label()
        self._button = Button("", "text")
        self._button.clicked.connect(self._act)
        self._on_action: Callable[[], object] | None = None
        self._timer = QTimer(self, singleShot=True, interval=SHOWN_MS)
        self._timer.timeout.connect(self.hide)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(16, 8, 10, 8)
        layout.setSpacing(12)
        layout.addWidget(self._sentence)
        layout.addWidget(self._button)
        self.hide()

    def show_sentence(
        self, sentence: str, action: str | None, on_action: Callable[[], object] | None, *, stays: bool
    ) -> None:
        """Show another sentence, and start its time anew unless it stays."""
        self._sentence.setText(sentence)
        self.setAccessibleName(sentence)
        self._button.setText(action or "")
        self._button.setVisible(action is not None)
        self._on_action = on_action
        self.place()
        self.show()
        self.raise_()
        self._timer.stop()
        if not stays:
            self._timer.start()

    def place(self) -> None:
        """Stand in the middle above the lower edge."""
        self.adjustSize()
        room = self._window
        self.move((room.width() - self.width()) // 2, room.height() - self.height() - BOTTOM_MARGIN)

    def _act(self) -> None:
        self.hide()
        if self._on_action is not None:
            self._on_action()
