"""Show a table with hairlines, as wide as it needs to be."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QTextCursor, QTextFrameFormat, QTextLength, QTextTable, QTextTableFormat
from PySide6.QtWidgets import QWidget

from app.chat.markdown import Spans, Table
from app.chat.text_view import TextView, line_format
from app.theme import Theme

ALIGNMENTS = {
    "left": Qt.AlignmentFlag.AlignLeft,
    "right": Qt.AlignmentFlag.AlignRight,
    "center": Qt.AlignmentFlag.AlignHCenter,
}


class TableView(TextView):
    """Write one table."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make an empty table."""
        super().__init__(theme, parent)
        self._table: Table | None = None

    def show_table(self, table: Table) -> None:
        """Show another table, or the same one grown."""
        if table == self._table:
            return
        self._table = table
        self.document().clear()
        form = QTextTableFormat()
        form.setBorderCollapse(True)
        form.setBorder(0)
        form.setCellPadding(5)
        form.setCellSpacing(0)
        form.setWidth(QTextLength(QTextLength.Type.PercentageLength, 100))
        columns = max(len(table.header), 1)
        grid = QTextCursor(self.document()).insertTable(1 + len(table.rows), columns, form)
        for row, cells in enumerate((table.header, *table.rows)):
            for column, spans in enumerate(cells[:columns]):
                self._write_cell(grid, row, column, spans)

    def redraw(self) -> None:
        """Write the table anew, after the theme has changed."""
        table, self._table = self._table, None
        if table is not None:
            self.show_table(table)

    def _write_cell(self, grid: QTextTable, row: int, column: int, spans: Spans) -> None:
        assert self._table is not None
        cell = grid.cellAt(row, column)
        form = cell.format().toTableCellFormat()
        form.setBottomBorder(1)
        form.setBottomBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
        form.setBottomBorderBrush(QColor(self.theme.colors.line))
        cell.setFormat(form)
        cursor = cell.firstCursorPosition()
        block = line_format(self.theme)
        alignments = self._table.alignments
        block.setAlignment(ALIGNMENTS.get(alignments[column] if column < len(alignments) else "", ALIGNMENTS["left"]))
        cursor.setBlockFormat(block)
        self.insert_spans(cursor, spans, (lambda f: f.setFont(self.theme.font(semibold=True))) if row == 0 else None)
