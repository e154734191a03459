"""Show examples as a model reads them, with colour where it learns."""

import html

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QTextEdit, QVBoxLayout, QWidget

from app.theme import Theme
from app.widgets.buttons import Button
from app.widgets.labels import Label
from app.widgets.text_field import wrap_mode_for
from engine.training.preview_protocol import TokenRow, TokenRows

ROWS_SHOWN = 3
HEIGHT = 190


class TokenView(QWidget):
    """Page through examples; `page_requested(int)` asks for those from a number on."""

    page_requested = Signal(int)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make an empty view."""
        super().__init__(parent)
        self._theme = theme
        self._rows = TokenRows(0, 0, ())
        self._text = QTextEdit()
        self._text.setReadOnly(True)
        self._text.setFixedHeight(HEIGHT)
        self._text.setTabChangesFocus(True)
        self._text.setAccessibleName(self.tr("What is learned of each example"))
        self._legend = Label(self.tr("Coloured is learned, grey is only read."), "small")
        self._place = Label("", "small")
        self._before = Button("‹", "small-text")
        self._before.setAccessibleName(self.tr("Examples before"))
        self._before.clicked.connect(lambda: self.page_requested.emit(self._rows.start - ROWS_SHOWN))
        self._after = Button("›", "small-text")
        self._after.setAccessibleName(self.tr("Next examples"))
        self._after.clicked.connect(lambda: self.page_requested.emit(self._rows.start + ROWS_SHOWN))
        foot = QHBoxLayout()
        foot.addWidget(self._legend)
        foot.addStretch()
        for widget in (self._before, self._place, self._after):
            foot.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._text)
        layout.addLayout(foot)
        theme.changed.connect(self._fill)

    def show_rows(self, rows: TokenRows) -> None:
        """Show other examples."""
        self._rows = rows
        last = min(rows.start + len(rows.rows), rows.total)
        first = rows.start + 1 if rows.total else 0
        self._place.setText(self.tr("{}–{} of {}").format(first, last, self.locale().toString(rows.total)))
        self._before.setEnabled(rows.start > 0)
        self._after.setEnabled(last < rows.total)
        self._fill()

    def text(self) -> str:
        """Return what is shown, without its colours."""
        return self._text.toPlainText()

    def _fill(self) -> None:
        self._text.setWordWrapMode(wrap_mode_for("".join(text for row in self._rows.rows for text, _ in row.pieces)))
        line = f'<hr style="background: {self._theme.colors.line};">'
        self._text.setHtml(line.join(self._row_html(row) for row in self._rows.rows))

    def _row_html(self, row: TokenRow) -> str:
        colors = self._theme.colors
        if row.problem:
            return f'<p style="color: {colors.bad_text}">{html.escape(row.problem)}</p>'
        spans = []
        for text, learned in row.pieces:
            style = (
                f"color: {colors.text}; background-color: {colors.accent_background}"
                if learned
                else f"color: {colors.muted}"
            )
            spans.append(f'<span style="{style}">{html.escape(text).replace(chr(10), "⏎<br>")}</span>')
        return f'<p style="white-space: pre-wrap">{"".join(spans)}</p>'
