"""Be the box in which the user writes."""

from PySide6.QtCore import QMimeData, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.chat.no_vision_line import NoVisionLine
from app.chat.picture_tray import PictureTray
from app.theme import Theme
from app.widgets.buttons import Button
from app.widgets.labels import Label
from app.widgets.picture_sources import offers_pictures
from app.widgets.style import restyle
from app.widgets.text_field import TextField

LONGEST_LINES = 10
HINT_WIDTH = 560


class Composer(QFrame):
    """Take the user's message, text and pictures; Send is Stop while an answer is being written."""

    send_requested = Signal(str)
    stop_requested = Signal()
    edit_last_requested = Signal()
    system_prompt_requested = Signal()
    attach_requested = Signal()
    pictures_offered = Signal(QMimeData)
    text_changed = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make an empty box."""
        super().__init__(parent)
        self._theme = theme
        self._busy = False
        self.setProperty("kind", "composer")
        self.no_vision = NoVisionLine()
        self.tray = PictureTray(theme)
        self.tray.contents_changed.connect(self._text_changed)
        self._text = _MessageEdit(self)
        self._text.entered.connect(self._entered)
        self._text.escaped.connect(self.stop_requested)
        self._text.went_up.connect(self.edit_last_requested)
        self._text.pictures_offered.connect(self.pictures_offered)
        self._text.textChanged.connect(self._text_changed)
        self._text.textChanged.connect(self.text_changed)
        self._hint = Label(self.tr("Enter to send · Shift Enter for a new line"), "small")
        self._attach = Button(self.tr("Attach"))
        self._attach.setToolTip(self.tr("Show the model pictures; they can also be pasted or dropped"))
        self._attach.clicked.connect(self.attach_requested)
        self._system_prompt = Button(self.tr("System prompt"))
        self._system_prompt.clicked.connect(self.system_prompt_requested)
        self._send = Button(self.tr("Send"), "primary")
        self._send.clicked.connect(self.send_or_stop)
        self._lay_out()
        self.set_model("", False)
        # The style gives the font after the first polish, and the font the height.
        theme.changed.connect(lambda: QTimer.singleShot(0, self._fit))

    def text(self) -> str:
        """Return what is written."""
        return self._text.toPlainText()

    def set_text(self, text: str) -> None:
        """Replace what is written, and put the caret behind it."""
        if text != self.text():
            self._text.setPlainText(text)
        self._text.moveCursor(self._text.textCursor().MoveOperation.End)

    def set_model(self, name: str, sees_pictures: bool) -> None:
        """Name the model in the empty box, and say what it takes."""
        if name and sees_pictures:
            words = self.tr("Message {0}, or drop pictures here").format(name)
        else:
            words = self.tr("Message {0}").format(name) if name else self.tr("Write a message")
        self._text.setPlaceholderText(words)
        self._text.setAccessibleName(words)

    def set_busy(self, busy: bool) -> None:
        """Offer Stop instead of Send."""
        self._busy = busy
        self._send.setText(self.tr("Stop") if busy else self.tr("Send"))
        restyle(self._send, "kind", "secondary" if busy else "primary")
        self._text_changed()

    def take_focus(self) -> None:
        """Let the user type."""
        self._text.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def send_or_stop(self) -> None:
        """Do what the button says."""
        if self._busy:
            self.stop_requested.emit()
        elif self._has_something():
            self.send_requested.emit(self.text().strip())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the hint out where it is narrow."""
        super().resizeEvent(event)
        self._hint.setVisible(self.width() >= self._theme.pixels(HINT_WIDTH))
        self._fit()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._attach)
        row.addWidget(self._system_prompt)
        row.addStretch()
        row.addWidget(self._hint)
        row.addWidget(self._send)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 14, 12, 10)
        layout.setSpacing(10)
        layout.addWidget(self.no_vision)
        layout.addWidget(self.tray)
        layout.addWidget(self._text)
        layout.addLayout(row)

    def _entered(self) -> None:
        # Enter must not stop an answer by accident.
        if not self._busy:
            self.send_or_stop()

    def _text_changed(self) -> None:
        self._send.setEnabled(self._busy or self._has_something())
        self._fit()

    def _has_something(self) -> bool:
        return bool(self.text().strip()) or not self.tray.is_empty

    def _fit(self) -> None:
        """Be as tall as the text, up to ten lines."""
        # A plain text document counts its height in lines.
        lines = min(max(round(self._text.document().size().height()), 1), LONGEST_LINES)
        self._text.setFixedHeight(lines * self._text.fontMetrics().lineSpacing() + 6)


class _MessageEdit(TextField):
    """Hold the text; Enter, Esc and Up have their meanings of a chat."""

    entered = Signal()
    escaped = Signal()
    went_up = Signal()
    pictures_offered = Signal(QMimeData)

    def __init__(self, parent: QWidget) -> None:
        super().__init__("", parent)
        self.setProperty("kind", "plain")
        self.document().setDocumentMargin(2)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Paste text; pictures and files are attached instead."""
        if offers_pictures(source):
            self.pictures_offered.emit(source)
        else:
            super().insertFromMimeData(source)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Take pictures too."""
        return offers_pictures(source) or super().canInsertFromMimeData(source)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Send, stop or go back to the last message; everything else edits."""
        key, modifiers = event.key(), event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not modifiers:
            self.entered.emit()
        elif key == Qt.Key.Key_Escape:
            self.escaped.emit()
        elif key == Qt.Key.Key_Up and not modifiers and not self.toPlainText():
            self.went_up.emit()
        else:
            super().keyPressEvent(event)
