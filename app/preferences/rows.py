"""Lay out settings: a name with a line of help on the left, the control on the right."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.widgets.labels import Label, WrappedLabel
from app.widgets.surfaces import Hairline

ROW_MARGIN = 10


class Section(QWidget):
    """Hold the rows of one subject under a heading, divided by hairlines."""

    def __init__(self, title: str, rows: Sequence[QWidget], parent: QWidget | None = None) -> None:
        """Make a section of rows."""
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        heading = Label(title, "heading")
        heading.setContentsMargins(0, 0, 0, ROW_MARGIN)
        layout.addWidget(heading)
        for row in rows:
            layout.addWidget(row)


class SettingRow(QWidget):
    """Show one setting; the help is also what screen readers say about the control."""

    def __init__(self, name: str, help: str, control: QWidget, parent: QWidget | None = None) -> None:
        """Make a row around a control, with a hairline above."""
        super().__init__(parent)
        control.setAccessibleName(name)
        control.setAccessibleDescription(help)
        self.help = WrappedLabel(help, "small")
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addWidget(Label(name))
        words.addWidget(self.help)
        row = QHBoxLayout()
        row.setContentsMargins(0, ROW_MARGIN, 0, ROW_MARGIN)
        row.setSpacing(24)
        row.addLayout(words, 1)
        row.addWidget(control, alignment=Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(Hairline())
        layout.addLayout(row)
