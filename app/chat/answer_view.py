"""Show one answer: its blocks, how it ended, and what can be done with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from PySide6.QtWidgets import QWidget

from app.chat.answer_parts import AnswerActions, OutcomeRow, StatusRow
from app.chat.asks import TranscriptAsks
from app.chat.code_block import CodeBlock
from app.chat.markdown import Block, Code, Paragraph, Rule, StreamingMarkdown, Table
from app.chat.message_editor import MessageEditor
from app.chat.outcome import Outcome, outcome_of
from app.chat.prose import INDENT, ProseView
from app.chat.table_view import TableView
from app.storage.messages import Message
from app.theme import Theme

BLOCK_GAP = 10
EDITOR_HEIGHT = 300
ROW_GAP = 8
# Room on both sides of the text for the frames of buttons, whose letters stand in line with it.
GUTTER = 6

BlockView = ProseView | CodeBlock | TableView
Segment = list[Paragraph | Rule] | Code | Table


@dataclass
class _Slot:
    """Hold the widget of a segment, and its height for the width it was measured at (0: not yet)."""

    segment: Segment
    view: BlockView
    height: int = 0
    measured_at: int = 0

    @property
    def depth(self) -> int:
        return self.segment.list_depth if isinstance(self.segment, Code) else 0

    def measure(self, width: int) -> int:
        """Return the height at this width, breaking lines only if something has changed."""
        if self.measured_at != width:
            self.height, self.measured_at = self.view.height_for(width), width
        return self.height


class AnswerView(QWidget):
    """Show an answer, also while it is being written."""

    def __init__(
        self, theme: Theme, asks: TranscriptAsks, message: Message, parent: QWidget, *, with_actions: bool = True
    ) -> None:
        """Show a message, alone or with what can be done with it."""
        super().__init__(parent)
        self._theme = theme
        self._with_actions = with_actions
        self._asks = asks
        self._message_id = message.id
        self._editor: MessageEditor | None = None
        self._slots: list[_Slot] = []
        self._status = StatusRow(asks, self)
        self._outcome = OutcomeRow(asks, self)
        self._actions = AnswerActions(asks, lambda: self._text, self)
        self.setAccessibleName(self.tr("Answer"))
        self.show_message(message)

    @property
    def text(self) -> str:
        """Return the text that is shown."""
        return self._text

    def show_message(self, message: Message) -> None:
        """Show another state of the message, or another message."""
        self.end_edit()
        self._markdown = StreamingMarkdown()
        self._message_id, self._text = message.id, ""
        self._status.show_status(None, None)
        self.append(message.text)
        self._outcome.show_outcome(message.id, outcome_of(message))
        self._actions.show_message(message)
        self._actions.setVisible(self._with_actions and not message.streaming)

    def append(self, text: str) -> None:
        """Add the next piece of the answer."""
        self._text += text
        if text:
            self._status.show_status(None, None)
        self._show_blocks(self._markdown.append(text))

    def set_status(self, sentence: str | None, fraction: float | None = None) -> None:
        """Say what the answer waits for."""
        self._status.show_status(sentence, fraction)

    def set_notice(self, sentence: str) -> None:
        """Say what the user should know while the answer is being written."""
        self._outcome.show_outcome(0, Outcome(sentence))

    def set_busy(self, busy: bool) -> None:
        """Disable what cannot be done while an answer is being written."""
        self._actions.set_busy(busy)
        if self._editor is not None:
            self._editor.set_busy(busy)

    @property
    def editing(self) -> bool:
        """Tell whether the answer is being edited, so that its widget must be kept."""
        return self._editor is not None

    def begin_edit(self) -> None:
        """Open the editor with the answer's text, as the model wrote it."""
        if self._editor is None:
            self._editor = self._make_editor()
            self._editor.submitted.connect(self._submit)
            self._editor.cancelled.connect(self.end_edit)
            self._show_editor(True)
        self._editor.take_focus()
        self._asks.height_changed.emit(self._message_id)

    def end_edit(self) -> None:
        """Close the editor and show the answer again."""
        if self._editor is not None:
            self._editor.deleteLater()
            self._show_editor(False)
            self._editor = None
            self._asks.height_changed.emit(self._message_id)

    def redraw(self) -> None:
        """Take the theme's new colours and sizes."""
        for slot in self._slots:
            slot.view.redraw()
            slot.measured_at = 0

    def height_for(self, width: int) -> int:
        """Place everything in this width, gutters included, and return the height."""
        width -= 2 * GUTTER
        if self._editor is not None:
            height = self._theme.pixels(EDITOR_HEIGHT)
            self._editor.setGeometry(GUTTER, 0, width, height)
            return height
        bottom = 0
        for slot in self._slots:
            indent = slot.depth * self._theme.pixels(INDENT)
            height = slot.measure(width - indent)
            slot.view.setGeometry(GUTTER + indent, bottom, width - indent, height)
            bottom += height + BLOCK_GAP
        bottom = max(bottom - BLOCK_GAP, 0)
        for row, left in ((self._status, GUTTER), (self._outcome, GUTTER), (self._actions, 1)):
            if not row.isHidden():
                bottom += ROW_GAP
                row_width = GUTTER + width - left
                height = row.heightForWidth(row_width) if row.hasHeightForWidth() else row.sizeHint().height()
                row.setGeometry(left, bottom, row_width, height)
                bottom += height
        return bottom

    def _make_editor(self) -> MessageEditor:
        return MessageEditor(
            self._text,
            self.tr("Edit this answer"),
            self.tr("Save as a version"),
            self,
            remark=self.tr("What the model wrote stays. Ctrl Enter saves."),
            enter_submits=False,
        )

    def _show_editor(self, shown: bool) -> None:
        """Show the editor in the place of the blocks and of what can be done with the answer."""
        assert self._editor is not None
        self._editor.setVisible(shown)
        for slot in self._slots:
            slot.view.setVisible(not shown)
        self._outcome.setVisible(not shown and self._outcome.has_outcome)
        self._actions.setVisible(not shown and self._with_actions)

    def _submit(self, text: str) -> None:
        changed = text != self._text.strip()
        self.end_edit()
        if changed:
            self._asks.answer_edited.emit(self._message_id, text)

    def _show_blocks(self, blocks: Sequence[Block]) -> None:
        """Bring the widgets in line with the blocks, keeping those that stay."""
        segments = list(_segments(blocks))
        for index, segment in enumerate(segments):
            if index < len(self._slots) and not _fits(self._slots[index].view, segment):
                self._drop_slots(index)
            if index == len(self._slots):
                view = self._new_view(segment)
                view.show()
                self._slots.append(_Slot(segment, view))
            elif self._slots[index].segment == segment:
                continue
            slot = self._slots[index]
            slot.segment, slot.measured_at = segment, 0
            _fill(slot.view, segment)
        self._drop_slots(len(segments))

    def _new_view(self, segment: Segment) -> BlockView:
        if isinstance(segment, Code):
            return CodeBlock(self._theme, self)
        return TableView(self._theme, self) if isinstance(segment, Table) else ProseView(self._theme, self)

    def _drop_slots(self, start: int) -> None:
        for slot in self._slots[start:]:
            slot.view.hide()
            slot.view.deleteLater()
        del self._slots[start:]


def _segments(blocks: Sequence[Block]) -> Iterator[Segment]:
    """Put neighbouring paragraphs and rules together; code and tables stand alone."""
    for is_prose, group in groupby(blocks, lambda block: isinstance(block, Paragraph | Rule)):
        if is_prose:
            yield [block for block in group if isinstance(block, Paragraph | Rule)]
        else:
            yield from (block for block in group if isinstance(block, Code | Table))


def _fits(view: BlockView, segment: Segment) -> bool:
    if isinstance(segment, Code):
        return isinstance(view, CodeBlock)
    return isinstance(view, TableView) if isinstance(segment, Table) else isinstance(view, ProseView)


def _fill(view: BlockView, segment: Segment) -> None:
    if isinstance(view, CodeBlock) and isinstance(segment, Code):
        view.show_code(segment)
    elif isinstance(view, TableView) and isinstance(segment, Table):
        view.show_table(segment)
    elif isinstance(view, ProseView) and isinstance(segment, list):
        view.set_items(segment)
