"""Show paragraphs, headings, lists, quotes and rules as one text."""

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QPainter,
    QPaintEvent,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextFormat,
    QTextOption,
)

from app.chat.markdown import Paragraph, Rule, Span
from app.chat.text_view import GrowingText, line_format
from app.widgets.text_field import LONG_WORD

LONGEST_PLAIN = 20_000
PARAGRAPH_GAP = 8
TIGHT_GAP = 3
INDENT = 22
QUOTE_INDENT = 16
HEADING_SIZES = {1: 18, 2: 16, 3: 15}
RULE_PROPERTY = QTextFormat.Property.UserProperty + 1


class ProseView(GrowingText[Paragraph | Rule]):
    """Write paragraphs and rules; lists hang by tabs, so that copied text keeps its bullets."""

    def show_plain(self, text: str) -> None:
        """Show a text as it was typed, without reading Markdown; of a very long one only the beginning."""
        if len(text) > LONGEST_PLAIN:
            rest = self.locale().toString(len(text) - LONGEST_PLAIN)
            note = self.tr("… and {0} more characters").format(rest)
            self.set_items([Paragraph((Span(text[:LONGEST_PLAIN]),)), Paragraph((Span(note, italic=True),))])
        else:
            self.set_items([Paragraph((Span(text),))])

    def write_item(self, cursor: QTextCursor, item: Paragraph | Rule, first: bool) -> None:
        """Write one paragraph or rule."""
        form = self._block_format(item, first)
        if first:
            cursor.setBlockFormat(form)
        else:
            cursor.insertBlock(form)
        if isinstance(item, Rule):
            return
        # The mode holds for the whole text; one very long word is enough to need the other one.
        if any(LONG_WORD.search(span.text) for span in item.spans):
            self.setWordWrapMode(QTextOption.WrapMode.WrapAnywhere)
        if item.marker:
            cursor.insertText(f"{item.marker}\t", self.char_format(Span("")))
        self.insert_spans(cursor, item.spans, lambda char_format: self._adjust(char_format, item))
        if any(span.href for span in item.spans):
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def _block_format(self, item: Paragraph | Rule, first: bool) -> QTextBlockFormat:
        if isinstance(item, Rule):
            form = line_format(self.theme, 9)
            form.setTopMargin(PARAGRAPH_GAP)
            form.setProperty(RULE_PROPERTY, True)
            return form
        size = HEADING_SIZES.get(item.heading, 14)
        form = line_format(self.theme, size * 1.55)
        if not first:
            form.setTopMargin(TIGHT_GAP if item.tight else PARAGRAPH_GAP + (6 if item.heading else 0))
        indent = self.theme.pixels(INDENT)
        left = item.list_depth * indent + item.quote_depth * QUOTE_INDENT
        form.setLeftMargin(left)
        if item.marker:
            form.setTextIndent(-indent)
            form.setTabPositions([QTextOption.Tab(indent, QTextOption.TabType.LeftTab)])
        if item.heading:
            form.setHeadingLevel(item.heading)
        if item.quote_depth:
            form.setProperty(QTextFormat.Property.BlockQuoteLevel, item.quote_depth)
        return form

    def _adjust(self, form: QTextCharFormat, item: Paragraph) -> None:
        if item.heading:
            form.setFont(self.theme.font(HEADING_SIZES.get(item.heading, 14), semibold=True))
        if item.quote_depth and not form.isAnchor():
            form.setForeground(QColor(self.theme.colors.muted))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the bars of quotes and the rules, then the text."""
        if self._has_decorations():
            self._decorate_all()
        super().paintEvent(event)

    def _has_decorations(self) -> bool:
        return any(isinstance(item, Rule) or item.quote_depth for item in self._items)

    def _decorate_all(self) -> None:
        painter = QPainter(self.viewport())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self.theme.colors.line_strong))
        layout = self.document().documentLayout()
        block = self.document().begin()
        while block.isValid():
            self._decorate(painter, block, layout.blockBoundingRect(block))
            block = block.next()
        painter.end()

    def _decorate(self, painter: QPainter, block: QTextBlock, rect: QRectF) -> None:
        form = block.blockFormat()
        for level in range(form.intProperty(QTextFormat.Property.BlockQuoteLevel)):
            left = form.leftMargin() - (level + 1) * QUOTE_INDENT + 3
            painter.drawRoundedRect(QRectF(left, rect.top() + 2, 3, rect.height() - 4), 1.5, 1.5)
        if form.hasProperty(RULE_PROPERTY):
            painter.drawRect(QRectF(0, rect.center().y(), self.width(), 1))
