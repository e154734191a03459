"""Show the runs that have ended or wait, one row each.

Signals: `shown_requested(Run)`, `chat_requested(Run)`, `export_requested(Run)`, `folder_requested(Run)`,
`card_requested(Run)`, `continue_requested(Run)`, `delete_requested(Run)`.
"""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QMenu, QVBoxLayout, QWidget

from app.training.run import Run
from app.training.wording import loss_text, method_text, state_text, when_text
from app.widgets.buttons import Button, ElidedButton
from app.widgets.labels import ElidedLabel, Label
from app.widgets.surfaces import Hairline

NAME, BASE, METHOD, LOSS, WHEN, ACTIONS = range(6)
COLUMN_STRETCH = {NAME: 12, BASE: 6, METHOD: 7, LOSS: 6, WHEN: 5}
COLUMN_SPACING = 16
CELL_MARGIN = 8


class RunTable(QWidget):
    """Lay out names, figures and actions in columns."""

    shown_requested = Signal(Run)
    chat_requested = Signal(Run)
    export_requested = Signal(Run)
    folder_requested = Signal(Run)
    card_requested = Signal(Run)
    continue_requested = Signal(Run)
    delete_requested = Signal(Run)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty table."""
        super().__init__(parent)
        self._key: list[tuple[object, ...]] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._content = QWidget()
        self._layout.addWidget(self._content)

    def show_runs(self, runs: list[Run]) -> None:
        """Show other rows; rows that are the same stay."""
        key = [(run.identity, run.state, run.validation_loss, run.note.title) for run in runs]
        self.setVisible(bool(runs))
        if key == self._key:
            return
        self._key = list(key)
        self._layout.removeWidget(self._content)
        self._content.hide()
        self._content.deleteLater()
        self._content = QWidget()
        grid = self._make_grid(self.tr("Finished runs") if all(run.ended for run in runs) else self.tr("Runs"))
        for number, run in enumerate(runs, start=1):
            grid.addWidget(Hairline(), 2 * number - 1, 0, 1, ACTIONS + 1)
            self._add_row(grid, 2 * number, run)
        grid.addWidget(Hairline(), 2 * len(runs) + 1, 0, 1, ACTIONS + 1)
        self._layout.addWidget(self._content)
        self._content.show()

    def _make_grid(self, name: str) -> QGridLayout:
        grid = QGridLayout(self._content)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(COLUMN_SPACING)
        grid.setVerticalSpacing(CELL_MARGIN - 2)
        for column, stretch in COLUMN_STRETCH.items():
            grid.setColumnStretch(column, stretch)
        titles = {
            NAME: name,
            BASE: self.tr("Base"),
            METHOD: self.tr("Method"),
            LOSS: self.tr("Validation loss"),
            WHEN: self.tr("When"),
        }
        for column, title in titles.items():
            label = Label(title, "small")
            label.setContentsMargins(CELL_MARGIN if column == NAME else 0, 0, 0, 0)
            grid.addWidget(label, 0, column)
        return grid

    def _add_row(self, grid: QGridLayout, row: int, run: Run) -> None:
        grid.addWidget(self._name_cell(run), row, NAME)
        grid.addWidget(ElidedLabel(run.note.base), row, BASE)
        grid.addWidget(ElidedLabel(method_text(run.job)), row, METHOD)
        if run.state == "done":
            grid.addWidget(Label(loss_text(run.validation_loss)), row, LOSS)
        else:
            words = {"stopped": self.tr("stopped"), "failed": self.tr("failed")}.get(run.state, state_text(run))
            grid.addWidget(ElidedLabel(words, "bad" if run.state == "failed" else "muted"), row, LOSS)
        grid.addWidget(ElidedLabel(when_text(run.note.created)), row, WHEN)
        grid.addWidget(self._actions_cell(run), row, ACTIONS)

    def _name_cell(self, run: Run) -> QWidget:
        cell = QWidget()
        name = ElidedButton(run.note.title, "value")
        name.setAccessibleName(self.tr("Show the run {}").format(run.note.title))
        name.clicked.connect(lambda: self.shown_requested.emit(run))
        layout = QHBoxLayout(cell)
        layout.setContentsMargins(CELL_MARGIN - 5, 0, 0, 0)
        layout.addWidget(name)
        layout.addStretch()
        return cell

    def _actions_cell(self, run: Run) -> QWidget:
        cell = QWidget()
        layout = QHBoxLayout(cell)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addStretch()
        if run.state == "done":
            asks = [(self.tr("Use in chat"), self.chat_requested), (self.tr("Export"), self.export_requested)]
        elif run.ended:
            asks = [(self.tr("Continue"), self.continue_requested)]
        else:
            asks = []
        for text, asked in asks:
            button = Button(text, "text")
            button.setAccessibleName(f"{text}: {run.note.title}")
            button.clicked.connect(lambda _checked=False, asked=asked: asked.emit(run))
            layout.addWidget(button)
            layout.addWidget(Label("·", "muted"))
        more = Button("⋯", "text")
        more.setAccessibleName(self.tr("More about {}").format(run.note.title))
        more.setMenu(self._menu(run, more))
        layout.addWidget(more, alignment=Qt.AlignmentFlag.AlignRight)
        return cell

    def _menu(self, run: Run, parent: QWidget) -> QMenu:
        menu = QMenu(parent)
        if run.result_path("card") is not None:
            menu.addAction(self.tr("Model card")).triggered.connect(lambda: self.card_requested.emit(run))
        menu.addAction(self.tr("Open folder")).triggered.connect(lambda: self.folder_requested.emit(run))
        if run.ended:
            menu.addSeparator()
            menu.addAction(self.tr("Delete…")).triggered.connect(lambda: self.delete_requested.emit(run))
        return menu
