"""Sum up the data of a run."""

from PySide6.QtCore import QLocale
from PySide6.QtWidgets import QWidget

from app.training.run import Run
from app.training.wording import check_text
from app.widgets.bars import ValueRow
from app.widgets.labels import Label
from app.widgets.surfaces import Card

WIDTH = 300


class DataCard(Card):
    """Show the form of the data and how much of it is used."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty card."""
        super().__init__(parent)
        self.setFixedWidth(WIDTH)
        self._rows: list[tuple[str, str]] = []
        self._widgets: list[ValueRow] = []
        self.body.addWidget(Label(self.tr("Data"), "heading"))
        self.body.addStretch()

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Return what is shown: names and values."""
        return list(self._rows)

    def show_run(self, run: Run) -> None:
        """Show the data of a run."""
        rows = self._rows_of(run)
        if rows == self._rows:
            return
        self._rows = rows
        for widget in self._widgets:
            self.body.removeWidget(widget)
            widget.hide()
            widget.deleteLater()
        self._widgets = [ValueRow(name, value) for name, value in rows]
        for place, widget in enumerate(self._widgets, start=1):
            self.body.insertWidget(place, widget)

    def _rows_of(self, run: Run) -> list[tuple[str, str]]:
        locale, note = QLocale(), run.note
        rows = [(self.tr("Format"), note.form)] if note.form else []
        if note.examples:
            kept = self.tr("{} of {}").format(locale.toString(note.kept), locale.toString(note.examples))
            rows.append((self.tr("Kept"), kept))
        rows += [(check_text(check), locale.toString(count)) for check, count in note.left_out.items() if count]
        if run.estimate is not None:
            if run.estimate.left_out:
                rows.append((self.tr("Left out by training"), locale.toString(run.estimate.left_out)))
            rows.append((self.tr("Tokens to read"), locale.toString(run.estimate.tokens)))
        return rows or [(self.tr("File"), run.job.data.rpartition("/")[2])]
