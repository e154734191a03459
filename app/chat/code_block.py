"""Show program code: its language and Copy above, lines that scroll sideways below."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor, QTextOption, QWheelEvent
from PySide6.QtWidgets import QFrame, QWidget

from app.chat.copy_button import CopyButton
from app.chat.highlight import Ink, Run, highlight
from app.chat.markdown import Code
from app.chat.text_view import GrowingText, line_format
from app.theme import Theme
from app.widgets.labels import Label
from app.widgets.surfaces import Hairline

CODE_LINE_HEIGHT = 19
HEADER_HEIGHT = 26
PADDING = 12
SCROLL_BAR_HEIGHT = 14


class CodeBlock(QFrame):
    """Frame one piece of code."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make an empty block."""
        super().__init__(parent)
        self.setProperty("kind", "code")
        self._theme = theme
        self._code = Code("")
        self._language = Label("", "small", self)
        self._copy = CopyButton(self.tr("Copy this code"), lambda: self._code.text, self)
        self._line = Hairline(parent=self)
        self._text = _CodeText(theme, self)

    @property
    def code(self) -> Code:
        """Return what is shown."""
        return self._code

    def show_code(self, code: Code) -> None:
        """Show other code, or the same one grown."""
        self._code = code
        self._language.setText(code.language)
        self._text.setAccessibleName(self.tr("Code"))
        self._text.set_items(highlight(code.text, code.language))

    def redraw(self) -> None:
        """Take the theme's new colours and sizes."""
        self._text.redraw()

    def height_for(self, width: int) -> int:
        """Take this width and return the height that goes with it."""
        header = self._theme.pixels(HEADER_HEIGHT)
        self._language.setGeometry(PADDING, 1, width // 2, header)
        copy = self._copy.sizeHint()
        self._copy.setGeometry(width - copy.width() - 8, 1 + (header - copy.height()) // 2, *copy.toTuple())
        self._line.setGeometry(1, header, width - 2, 1)
        height = self._text.height_for(width - 2 * PADDING)
        self._text.setGeometry(PADDING, header + 1 + PADDING - 2, width - 2 * PADDING, height)
        total = header + 1 + 2 * PADDING - 4 + height
        self.resize(width, total)
        return total


class _CodeText(GrowingText[Run]):
    """Write code in the inks of the theme, never breaking a line."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(theme, parent)
        self.setWordWrapMode(QTextOption.WrapMode.NoWrap)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)

    def write_item(self, cursor: QTextCursor, item: Run, first: bool) -> None:
        """Write a run of one ink."""
        if first:
            cursor.setBlockFormat(line_format(self.theme, CODE_LINE_HEIGHT))
        text, ink = item
        form = QTextCharFormat()
        form.setFont(self.theme.code_font())
        form.setForeground(QColor(self._color(ink)))
        cursor.insertText(text, form)

    def height_for(self, width: int) -> int:
        """Return the height of the lines, with the scroll bar if a line is longer than `width`."""
        height = super().height_for(width)
        too_wide = self.document().idealWidth() > width
        return height + (SCROLL_BAR_HEIGHT if too_wide else 0)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Take sideways scrolling only."""
        delta = event.angleDelta()
        sideways = abs(delta.x()) > abs(delta.y()) or event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if not sideways:
            event.ignore()
            return
        bar = self.horizontalScrollBar()
        bar.setValue(bar.value() - (delta.x() or delta.y()))
        event.accept()

    def _color(self, ink: Ink) -> str:
        colors = self.theme.colors
        return {
            "text": colors.text,
            "keyword": colors.code_keyword,
            "string": colors.code_string,
            "number": colors.code_number,
            "comment": colors.code_comment,
            "name": colors.code_name,
        }[ink]
