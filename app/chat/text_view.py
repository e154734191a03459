"""Show formatted text that can be selected, as tall as it needs to be."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import (
    QColor,
    QDesktopServices,
    QFont,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QTextBrowser, QWidget

from app.chat.markdown import Span
from app.theme import Theme

LINE_HEIGHT = 22
LINE_SEPARATOR = "\u2028"
SAFE_SCHEMES = ("http", "https", "mailto")

Item = TypeVar("Item")


class TextView(QTextBrowser):
    """Be a text without scroll bars of its own; links open outside, on a click and never by themselves."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make an empty text."""
        super().__init__(parent)
        self.theme = theme
        self.setProperty("kind", "transcript")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setLineWrapMode(QTextBrowser.LineWrapMode.FixedPixelWidth)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setTabChangesFocus(True)
        self.setUndoRedoEnabled(False)
        self.setOpenLinks(False)
        self.document().setDocumentMargin(0)
        self.anchorClicked.connect(_open_outside)
        self.highlighted.connect(lambda url: self.setToolTip(url.toString()))

    def height_for(self, width: int) -> int:
        """Break the lines at this width and return how tall the text is then."""
        # A hidden widget hears of a new size only when it is shown; a fixed width is obeyed at once.
        self.setLineWrapColumnOrWidth(width)
        return math.ceil(self.document().size().height())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the transcript."""
        event.ignore()

    def char_format(self, span: Span) -> QTextCharFormat:
        """Return the format of a run of text."""
        colors = self.theme.colors
        form = QTextCharFormat()
        form.setFont(self.theme.code_font() if span.code else self.theme.font())
        form.setForeground(QColor(colors.accent_text if span.href else colors.text))
        if span.code:
            form.setBackground(QColor(colors.user_bubble))
        if span.bold:
            form.setFontWeight(QFont.Weight.DemiBold)
        form.setFontItalic(span.italic)
        form.setFontStrikeOut(span.strike)
        if span.href:
            form.setAnchor(True)
            form.setAnchorHref(span.href)
            form.setFontUnderline(True)
        return form

    def insert_spans(self, cursor: QTextCursor, spans: Iterable[Span], adjust: "FormatChange | None" = None) -> None:
        """Write runs of text at the cursor; `adjust` may change each format."""
        for span in spans:
            form = self.char_format(span)
            if adjust is not None:
                adjust(form)
            cursor.insertText(span.text.replace("\n", LINE_SEPARATOR), form)


FormatChange = Callable[[QTextCharFormat], None]


class GrowingText(TextView, Generic[Item]):
    """Show a sequence of items of which, from one time to the next, mostly the last ones change."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make an empty text."""
        super().__init__(theme, parent)
        self._items: list[Item] = []
        self._ends: list[int] = []

    def set_items(self, items: Sequence[Item]) -> None:
        """Show these items, writing anew only from the first that differs."""
        same = 0
        for old, new in zip(self._items, items, strict=False):
            if old != new:
                break
            same += 1
        if same == len(items) == len(self._items):
            return
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        cursor.setPosition(self._ends[same - 1] if same else 0)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        del self._ends[same:]
        for index in range(same, len(items)):
            self.write_item(cursor, items[index], index == 0)
            self._ends.append(cursor.position())
        cursor.endEditBlock()
        self._items = list(items)
        if same == 0:
            # Its own cursor must not stand behind the text, or the view would scroll after it.
            self.setTextCursor(QTextCursor(self.document()))

    def redraw(self) -> None:
        """Write everything anew, after the theme has changed."""
        items, self._items, self._ends = self._items, [], []
        self.set_items(items)

    def write_item(self, cursor: QTextCursor, item: Item, first: bool) -> None:
        """Write one item at the cursor, the first one into the empty document."""
        raise NotImplementedError


def line_format(theme: Theme, height: float = LINE_HEIGHT) -> QTextBlockFormat:
    """Return a paragraph of lines with a fixed height, scaled with the text."""
    form = QTextBlockFormat()
    form.setLineHeight(theme.pixels(height), QTextBlockFormat.LineHeightTypes.FixedHeight.value)
    return form


def _open_outside(url: QUrl) -> None:
    """Open a link in the user's browser or mail program."""
    if url.scheme().lower() in SAFE_SCHEMES:
        QDesktopServices.openUrl(url)
