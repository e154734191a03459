"""The Fine-tune page: the run that goes on, what it has learned so far, and the runs before it.

    page = TrainingPage(theme)
    controller = TrainingController(page, ...)      # app/training/controller.py

Asks of the page: `new_requested(list[Path])` (with files that were dropped), `example_requested()`, those of `card`
(RunCard), `table` (RunTable) and `packages` (PackagesCard).
"""

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.theme import Theme
from app.training.answers_card import AnswersCard
from app.training.data_card import DataCard
from app.training.empty_state import EmptyState
from app.training.packages_card import PackagesCard
from app.training.run import Run
from app.training.run_card import RunCard
from app.training.run_table import RunTable
from app.widgets.buttons import Button
from app.widgets.surfaces import Page, local_paths


class TrainingPage(Page):
    """Show one run in full and the others in a table."""

    new_requested = Signal(list)
    example_requested = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make the page without runs."""
        super().__init__(self.tr("Fine-tune"), parent)
        self.setAcceptDrops(True)
        self._wanted = ""
        self._runs: list[Run] = []
        self._active: Run | None = None
        self.new_run = Button(self.tr("New run"), "primary")
        self.new_run.clicked.connect(lambda: self.new_requested.emit([]))
        self.header.addWidget(self.new_run)
        self.packages = PackagesCard()
        self.empty_state = EmptyState()
        self.empty_state.example_requested.connect(self.example_requested)
        self.empty_state.new_requested.connect(lambda: self.new_requested.emit([]))
        self.card = RunCard(theme)
        self.answers = AnswersCard()
        self.data = DataCard()
        self._details = QWidget()
        details = QHBoxLayout(self._details)
        details.setContentsMargins(0, 0, 0, 0)
        details.setSpacing(16)
        details.addWidget(self.answers, 1)
        details.addWidget(self.data)
        self.table = RunTable()
        self.table.shown_requested.connect(self.show_run)
        for widget in (self.packages, self.empty_state, self.card, self._details, self.table):
            self.body.addWidget(widget)
        self.body.addStretch(1)
        self.show_runs([], None)

    @property
    def shown(self) -> Run | None:
        """Return the run that is shown in full: the chosen one, else the one that goes on, else the newest."""
        chosen = next((run for run in self._runs if run.identity == self._wanted), None)
        return chosen or self._active or next(iter(self._runs), None)

    def show_runs(self, runs: Sequence[Run], active: Run | None) -> None:
        """Show the runs as they are now; `active` is the one that goes on."""
        if active is not None and (self._active is None or self._active.identity != active.identity):
            self._wanted = ""
        self._runs, self._active = list(runs), active
        shown = self.shown
        self.empty_state.setVisible(shown is None)
        self.card.setVisible(shown is not None)
        self._details.setVisible(shown is not None)
        if shown is not None:
            self.card.show_run(shown)
            self.answers.show_run(shown)
            self.data.show_run(shown)
        self.table.show_runs([run for run in runs if run is not active])

    def show_run(self, run: Run) -> None:
        """Show one run in full."""
        self._wanted = run.identity
        self.show_runs(self._runs, self._active)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files anywhere on the page."""
        if local_paths(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Begin a run with the files."""
        event.acceptProposedAction()
        self.new_requested.emit(local_paths(event))
