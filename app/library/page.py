"""The Models page: what is on this computer, and how more gets there.

    page = ModelsPage()
    controller = LibraryController(page, models, queue, notices, background)     # app/library/controller.py

Asks of the page: `import_requested(list[Path])`, those of `table` (ModelTable) and of `jobs` (JobCards).
"""

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QFileDialog, QMenu, QVBoxLayout, QWidget

from app.library.job_cards import FailureCard, JobCards
from app.library.model_list import ModelEntry
from app.library.model_table import ModelTable
from app.widgets.buttons import Button
from app.widgets.labels import WrappedLabel
from app.widgets.surfaces import DropZone, Page


class ModelsPage(Page):
    """Show the drop zone, imports under way, what failed, and the table of models."""

    import_requested = Signal(list)
    shown = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make the page without models."""
        super().__init__(self.tr("Models"), parent)
        self.setAcceptDrops(True)
        self.header.addWidget(self._import_button())
        self._zone = DropZone(
            self.tr("Drop a Phi-3 checkpoint folder or a GGUF file here. Checkpoints are converted on this computer.")
        )
        self._zone.paths_dropped.connect(self.import_requested)
        self.jobs = JobCards()
        self._failures = QVBoxLayout()
        self._failures.setSpacing(12)
        self.table = ModelTable()
        self._hint = WrappedLabel("", "muted")
        self._hint.hide()
        self.body.addWidget(self._zone)
        self.body.addWidget(self.jobs)
        self.body.addLayout(self._failures)
        self.body.addWidget(self.table)
        self.body.addWidget(self._hint)
        self.body.addStretch()

    def show_entries(self, entries: list[ModelEntry]) -> None:
        """Show the models, and what to do first where there is little."""
        self.table.show_entries(entries)
        self.table.setVisible(bool(entries))
        if not entries:
            self._hint.setText(self.tr("No models yet. Import a checkpoint folder or a GGUF file to start chatting."))
        elif all(entry.is_starter for entry in entries):
            self._hint.setText(
                self.tr("The Starter is small and makes mistakes. Import a Phi-3 model for better answers.")
            )
        self._hint.setVisible(all(entry.is_starter for entry in entries))

    def show_failure(self, title: str, message: str, remedy: str | None, details: str | None = None) -> None:
        """Show in place why something could not be imported, until it is dismissed."""
        card = FailureCard(title, message, remedy, details)
        card.dismissed.connect(card.hide)
        card.dismissed.connect(card.deleteLater)
        self._failures.addWidget(card)

    def showEvent(self, event: QShowEvent) -> None:
        """Tell that the page is looked at."""
        super().showEvent(event)
        self.shown.emit()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files anywhere on the page and light up the zone."""
        self._zone.dragEnterEvent(event)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Calm the zone down."""
        self._zone.dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        """Treat a drop as one on the zone."""
        self._zone.dropEvent(event)

    def _import_button(self) -> Button:
        button = Button(self.tr("Import…"), "primary")
        menu = QMenu(button)
        menu.addAction(self.tr("Checkpoint folder…")).triggered.connect(self._choose_folder)
        menu.addAction(self.tr("GGUF file…")).triggered.connect(self._choose_file)
        button.setMenu(menu)
        return button

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Choose the folder with config.json"))
        if chosen:
            self.import_requested.emit([Path(chosen)])

    def _choose_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, self.tr("Choose a model"), "", self.tr("Models (*.gguf)"))
        if chosen:
            self.import_requested.emit([Path(chosen)])
