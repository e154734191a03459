"""Show one message of the user in a bubble, and let it be edited in place."""

import math

from PySide6.QtWidgets import QFrame, QWidget

from app.chat.answer_parts import VersionSwitch
from app.chat.answer_view import GUTTER
from app.chat.asks import TranscriptAsks
from app.chat.message_editor import MessageEditor
from app.chat.picture_strip import PictureStrip
from app.chat.prose import ProseView
from app.storage.messages import Message
from app.theme import Theme

BUBBLE_SHARE = 0.8
PADDING_ACROSS = 14
PADDING_DOWN = 10
PICTURE_GAP = 8
EDITOR_HEIGHT = 150


class UserView(QWidget):
    """Show what the user wrote, as it was typed."""

    def __init__(self, theme: Theme, asks: TranscriptAsks, message: Message, parent: QWidget) -> None:
        """Show a message."""
        super().__init__(parent)
        self._theme = theme
        self._asks = asks
        self._message = message
        self._bubble = QFrame(self)
        self._bubble.setProperty("kind", "user-bubble")
        self._pictures = PictureStrip(theme, self._bubble)
        self._pictures.opened.connect(lambda index: asks.picture_opened.emit(self._message.id, index))
        self._text = ProseView(theme, self._bubble)
        self._versions = VersionSwitch(asks, self)
        self._editor: MessageEditor | None = None
        self.setAccessibleName(self.tr("Your message"))
        self.show_message(message)

    @property
    def editing(self) -> bool:
        """Tell whether the message is being edited, so that its widget must be kept."""
        return self._editor is not None

    def show_message(self, message: Message) -> None:
        """Show another state of the message, or another message."""
        self._message = message
        self._pictures.show_pictures(message.pictures)
        self._text.show_plain(message.text)
        self._text.setVisible(bool(message.text) or not message.pictures)
        self._versions.show_message(message)

    def set_busy(self, busy: bool) -> None:
        """Disable what cannot be done while an answer is being written."""
        self._versions.setEnabled(not busy)
        if self._editor is not None:
            self._editor.set_busy(busy)

    def redraw(self) -> None:
        """Take the theme's new colours and sizes."""
        self._text.redraw()

    def begin_edit(self) -> None:
        """Open the editor with the message's text."""
        if self._editor is None:
            self._editor = self._make_editor()
            self._editor.submitted.connect(self._submit)
            self._editor.cancelled.connect(self.end_edit)
            self._editor.show()
            self._bubble.hide()
        self._editor.take_focus()
        self._asks.height_changed.emit(self._message.id)

    def end_edit(self) -> None:
        """Close the editor and show the message again."""
        if self._editor is not None:
            self._editor.deleteLater()
            self._editor = None
            self._bubble.show()
            self._asks.height_changed.emit(self._message.id)

    def height_for(self, width: int) -> int:
        """Place everything in this width, gutters included, and return the height."""
        width -= GUTTER
        if self._editor is not None:
            height = self._theme.pixels(EDITOR_HEIGHT)
            self._editor.setGeometry(GUTTER, 0, width - GUTTER, height)
            return height
        bubble_width, bubble_height = self._fill_bubble(round((width - GUTTER) * BUBBLE_SHARE))
        self._bubble.setGeometry(width - bubble_width, 0, bubble_width, bubble_height)
        if self._versions.isHidden():
            return bubble_height
        size = self._versions.sizeHint()
        self._versions.setGeometry(width - size.width(), bubble_height + 4, size.width(), size.height())
        return bubble_height + 4 + size.height()

    def _make_editor(self) -> MessageEditor:
        count = len(self._message.pictures)
        stays = self.tr("The picture stays.") if count == 1 else self.tr("The {0} pictures stay.").format(count)
        return MessageEditor(
            self._message.text,
            self.tr("Edit your message"),
            self.tr("Send"),
            self,
            remark=stays if count else "",
            may_be_empty=bool(count),
        )

    def _fill_bubble(self, widest: int) -> tuple[int, int]:
        """Place pictures and text in a bubble of at most this width, and return width and height."""
        room = widest - 2 * PADDING_ACROSS
        top, inner_width = PADDING_DOWN, 0
        if self._message.pictures:
            strip = self._pictures.size_for(room)
            self._pictures.setGeometry(PADDING_ACROSS, top, strip.width(), strip.height())
            top, inner_width = top + strip.height(), strip.width()
        if not self._text.isHidden():
            top += PICTURE_GAP if inner_width else 0
            self._text.height_for(room)
            # The bubble is only as wide as its longest line.
            text_width = min(math.ceil(self._text.document().idealWidth()) + 1, room)
            text_height = self._text.height_for(text_width)
            self._text.setGeometry(PADDING_ACROSS, top, text_width, text_height)
            top, inner_width = top + text_height, max(inner_width, text_width)
        return inner_width + 2 * PADDING_ACROSS, top + PADDING_DOWN

    def _submit(self, text: str) -> None:
        self.end_edit()
        self._asks.edit_submitted.emit(self._message.id, text)
