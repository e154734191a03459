"""Show the messages of a chat, building widgets only for those near the part that is seen.

Heights of messages that were never built are estimated. The reader's place is kept as a message and an offset into
it, so that learning a true height never moves what is being read.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame, QWidget

from app.chat.answer_view import GUTTER, AnswerView
from app.chat.asks import TranscriptAsks
from app.chat.picture_strip import height_of
from app.chat.user_view import BUBBLE_SHARE, UserView
from app.storage.messages import Message
from app.theme import Theme
from app.widgets.buttons import Button

COLUMN_WIDTH = 720
COLUMN_PADDING = 24
TOP_PADDING = 22
BOTTOM_PADDING = 28
ROW_GAP = 20
NEAR_END = 24
# A message of average letters: pixels per letter and per line at a text scale of 1.
LETTER_WIDTH = 7.0
LINE_HEIGHT = 22

View = UserView | AnswerView


@dataclass
class _Row:
    """Hold a message, its height (estimated until it was measured) and its widget while it is near.

    `measured_at` is the width for which the widget's height is known, 0 after a change.
    """

    message: Message
    height: int
    measured_at: int = 0
    view: View | None = None
    status: tuple[str | None, float | None] = (None, None)
    notice: str | None = None


@dataclass(frozen=True)
class _Anchor:
    """Remember the reader's place: the row at the upper edge and how far it is scrolled past."""

    row: int = 0
    offset: int = 0


class TranscriptView(QAbstractScrollArea):
    """Be the scrolling column of messages."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make an empty transcript."""
        super().__init__(parent)
        self.asks = TranscriptAsks(self)
        self._theme = theme
        self._rows: list[_Row] = []
        self._anchor = _Anchor()
        self._following = True
        self._placing = False
        self._busy = False
        self.setProperty("kind", "transcript-area")
        self.setAccessibleName(self.tr("Messages"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalScrollBar().setSingleStep(theme.pixels(LINE_HEIGHT))
        self._jump = Button(self.tr("Jump to latest"), parent=self)
        self._jump.clicked.connect(self.jump_to_latest)
        self._jump.hide()
        # Several changes in one turn of the event loop are placed once.
        self._pending = QTimer(self, singleShot=True, interval=0)
        self._pending.timeout.connect(self._place)
        self.asks.height_changed.connect(self._height_changed)
        self.asks.edit_requested.connect(self.edit_question_of)
        self.asks.answer_edit_requested.connect(self.edit_answer)
        theme.changed.connect(self._redraw)

    def set_messages(self, messages: Sequence[Message], *, keep_place: bool = False) -> None:
        """Show other messages, from their end unless the reader's place is kept; rows that stay keep their widgets."""
        anchor = self._anchor_at(self.verticalScrollBar().value())
        kept = {row.message.id: row for row in self._rows}
        rows = []
        for message in messages:
            row = kept.pop(message.id, None)
            if row is None:
                row = _Row(message, self._estimate(message))
            elif row.message != message:
                self._show(row, message)
            rows.append(row)
        for row in kept.values():
            self._drop_view(row)
        self._rows = rows
        if keep_place:
            self._hold(anchor)
        else:
            self.jump_to_latest()

    def update_message(self, message: Message) -> None:
        """Show another state of a message that is there."""
        row = self._row(message.id)
        if row is not None:
            self._show(row, message)
            self._changed(row)

    def append_text(self, message_id: int, text: str) -> None:
        """Add the next piece to an answer."""
        row = self._row(message_id)
        if row is None:
            return
        row.message = replace(row.message, text=row.message.text + text)
        row.status = (None, None)
        row.measured_at = 0
        if isinstance(row.view, AnswerView):
            row.view.append(text)
        self._place()

    def set_status(self, message_id: int, sentence: str | None, fraction: float | None = None) -> None:
        """Say below an answer what is being done for it."""
        row = self._row(message_id)
        if row is None:
            return
        row.status = (sentence, fraction)
        if isinstance(row.view, AnswerView):
            row.view.set_status(sentence, fraction)
        self._changed(row)

    def set_notice(self, message_id: int, sentence: str) -> None:
        """Say below an answer what the user should know of it."""
        row = self._row(message_id)
        if row is None:
            return
        row.notice = sentence
        if isinstance(row.view, AnswerView):
            row.view.set_notice(sentence)
        self._changed(row)

    def set_busy(self, busy: bool) -> None:
        """Disable or enable what would disturb an answer that is being written."""
        self._busy = busy
        for row in self._rows:
            if row.view is not None:
                row.view.set_busy(busy)

    def edit_question_of(self, message_id: int) -> None:
        """Open the editor of a message of the user, or of the one that an answer belongs to."""
        index = next((i for i, row in enumerate(self._rows) if row.message.id == message_id), -1)
        while index >= 0 and self._rows[index].message.role != "user":
            index -= 1
        if index >= 0:
            self._edit(index)

    def edit_answer(self, message_id: int) -> None:
        """Open the editor of an answer."""
        index = next((i for i, row in enumerate(self._rows) if row.message.id == message_id), None)
        if index is not None and self._rows[index].message.role == "assistant":
            self._edit(index)

    def _edit(self, index: int) -> None:
        row = self._rows[index]
        view = row.view or self._build(row)
        view.begin_edit()
        row.measured_at = 0
        self._measure([index])
        top, value = self._tops()[index], self.verticalScrollBar().value()
        seen = value <= top <= value + self.viewport().height() - row.height
        self._hold(self._anchor_at(value) if seen else _Anchor(index, -ROW_GAP))

    def jump_to_latest(self) -> None:
        """Go to the end and follow what comes."""
        self._following = True
        self._place()

    def show_message(self, message_id: int) -> None:
        """Bring a message to the upper edge."""
        index = next((i for i, row in enumerate(self._rows) if row.message.id == message_id), None)
        if index is not None:
            self._hold(_Anchor(index, -ROW_GAP))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Break the lines anew."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._estimate_unseen()
        self._place()

    def showEvent(self, event: QShowEvent) -> None:
        """Build what is seen."""
        super().showEvent(event)
        self._place()

    def scrollContentsBy(self, _dx: int, _dy: int) -> None:
        """Take the reader's scrolling as a new place."""
        if self._placing:
            return
        bar = self.verticalScrollBar()
        self._following = bar.value() >= bar.maximum() - NEAR_END
        self._anchor = self._anchor_at(bar.value())
        self._place()

    def _row(self, message_id: int) -> _Row | None:
        # The row that changes is nearly always the last.
        return next((row for row in reversed(self._rows) if row.message.id == message_id), None)

    def _height_changed(self, message_id: int) -> None:
        row = self._row(message_id)
        if row is not None:
            self._changed(row)

    def _hold(self, anchor: _Anchor) -> None:
        """Show this place and follow the end no longer."""
        self._following = False
        self._anchor = anchor
        self._place()

    def _column_width(self) -> int:
        return max(min(self.viewport().width(), COLUMN_WIDTH) - 2 * COLUMN_PADDING, 120) + 2 * GUTTER

    def _estimate(self, message: Message) -> int:
        scale = self._theme.scale
        lines = len(message.text) * LETTER_WIDTH * scale / self._column_width() + message.text.count("\n") * 0.7 + 1
        pictures = height_of(len(message.pictures), round(self._column_width() * BUBBLE_SHARE))
        text = round(lines * LINE_HEIGHT * scale)
        return text + pictures + (LINE_HEIGHT if message.role == "user" else LINE_HEIGHT + 10)

    def _tops(self) -> list[int]:
        """Return where each row begins, and after them where the next one would."""
        return list(accumulate((row.height + ROW_GAP for row in self._rows), initial=TOP_PADDING))

    def _anchor_at(self, value: int) -> _Anchor:
        tops = self._tops()
        index = max(bisect_right(tops, value) - 1, 0)
        return _Anchor(index, value - tops[index])

    def _place(self) -> None:
        """Build what is near, learn true heights, and put everything in its place."""
        if self._placing or not self.isVisible():
            return
        self._pending.stop()
        self._placing = True
        try:
            self._place_near()
        finally:
            self._placing = False

    def _place_near(self) -> None:
        height = self.viewport().height()
        # Each pass builds what the last one found near; heights settle after very few.
        for _ in range(8):
            tops = self._tops()
            total = max(tops[-1] - ROW_GAP + BOTTOM_PADDING, height)
            value = total - height if self._following or not self._rows else self._value_of_anchor(tops, total, height)
            first = max(bisect_right(tops, value - height // 2) - 1, 0)
            near = range(first, min(bisect_right(tops, value + height * 3 // 2), len(self._rows)))
            if not self._measure(near):
                break
        self._release_far(near)
        bar = self.verticalScrollBar()
        bar.setPageStep(height)
        bar.setRange(0, total - height)
        bar.setValue(value)
        # Of the whole width, so that the scroll bar moves nothing when it comes.
        left = (self.width() - self._column_width()) // 2 - self.viewport().x()
        for index in near:
            view = self._rows[index].view
            if view is not None:
                view.setGeometry(left, tops[index] - value, self._column_width(), self._rows[index].height)
                view.show()
        self._place_jump(value < total - height - NEAR_END)

    def _value_of_anchor(self, tops: list[int], total: int, height: int) -> int:
        index = min(self._anchor.row, len(self._rows) - 1)
        return max(0, min(tops[index] + self._anchor.offset, total - height))

    def _measure(self, indices: Sequence[int]) -> bool:
        """Build the widgets of these rows and return whether a height has changed."""
        changed = False
        width = self._column_width()
        for index in indices:
            row = self._rows[index]
            view = row.view or self._build(row)
            if row.measured_at != width:
                height = view.height_for(width)
                changed |= height != row.height
                row.height, row.measured_at = height, width
        return changed

    def _build(self, row: _Row) -> View:
        """Make the widget of a row."""
        parent = self.viewport()
        if row.message.role == "user":
            view: View = UserView(self._theme, self.asks, row.message, parent)
        else:
            view = AnswerView(self._theme, self.asks, row.message, parent)
            view.set_status(*row.status)
            if row.notice:
                view.set_notice(row.notice)
        view.set_busy(self._busy)
        row.view, row.measured_at = view, 0
        return view

    def _show(self, row: _Row, message: Message) -> None:
        """Show another state of a row's message."""
        row.message, row.measured_at, row.notice = message, 0, None
        if row.view is not None:
            row.view.show_message(message)

    def _changed(self, row: _Row) -> None:
        """Measure a row again, soon."""
        row.measured_at = 0
        self._pending.start()

    def _release_far(self, near: Sequence[int]) -> None:
        """Drop the widgets of rows that are no longer near, but never one that is being used."""
        for index, row in enumerate(self._rows):
            if row.view is None or index in near:
                continue
            if row.message.streaming or row.view.editing or row.view.isAncestorOf(QApplication.focusWidget() or self):
                row.view.hide()
            else:
                self._drop_view(row)

    def _drop_view(self, row: _Row) -> None:
        if row.view is not None:
            row.view.hide()
            row.view.deleteLater()
            row.view, row.measured_at = None, 0

    def _redraw(self) -> None:
        """Take the theme's new colours and sizes."""
        self.verticalScrollBar().setSingleStep(self._theme.pixels(LINE_HEIGHT))
        for row in self._rows:
            row.measured_at = 0
            if row.view is not None:
                row.view.redraw()
        self._estimate_unseen()
        self._pending.start()

    def _estimate_unseen(self) -> None:
        for row in self._rows:
            if row.view is None:
                row.height = self._estimate(row.message)

    def _place_jump(self, wanted: bool) -> None:
        """Show the way to the end while the reader is elsewhere."""
        self._jump.setVisible(wanted)
        if wanted:
            size = self._jump.sizeHint()
            self._jump.setGeometry(
                (self.width() - size.width()) // 2,
                self.height() - size.height() - 12,
                size.width(),
                size.height(),
            )
            self._jump.raise_()
