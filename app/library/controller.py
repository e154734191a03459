"""Connect the Models page with the services behind it.

    controller = LibraryController(page, models, queue, notices, background)
    controller.chat_requested       # Signal(Path): chat with this model
    controller.unload_requested     # Signal(Path): this model's file is about to be removed; unload it if it is loaded

The application also calls `models.refresh()` and `queue.resume()` at start.
"""

import itertools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QFileDialog, QInputDialog

from app.background import Background
from app.job_queue import JobQueue, QueuedJob
from app.library.figures_dialog import FiguresDialog
from app.library.import_dialog import ImportChoice, ImportDialog
from app.library.job_cards import job_title
from app.library.model_list import ModelEntry, ModelList
from app.library.page import ModelsPage
from app.library.wording import size_text
from app.notices import Notices
from converter.errors import ConversionError
from engine.errors import EngineError
from engine.jobs.events import ImportJob, Job, JobDone, RepairJob, VerifyJob

if TYPE_CHECKING:  # it brings numpy, which the window does not wait for at its start
    from app.library.import_source import ImportSource


class LibraryController(QObject):
    """Turn the page's asks into work, and its outcome into what the page shows."""

    chat_requested = Signal(Path)
    unload_requested = Signal(Path)
    open_failed = Signal()

    def __init__(
        self, page: ModelsPage, models: ModelList, queue: JobQueue, notices: Notices, background: Background
    ) -> None:
        """Connect everything."""
        super().__init__(page)
        self._page = page
        self._models = models
        self._queue = queue
        self._notices = notices
        self._background = background
        self._to_ask: list[ImportSource] = []
        page.import_requested.connect(self.import_paths)
        page.shown.connect(models.refresh)
        page.table.chat_requested.connect(lambda entry: self.chat_requested.emit(entry.path))
        page.table.rename_requested.connect(self._rename)
        page.table.show_in_folder_requested.connect(_show_in_folder)
        page.table.delete_requested.connect(self._delete)
        page.table.repair_requested.connect(lambda entry: self.repair(entry.path))
        page.table.verify_requested.connect(self._verify)
        page.table.figures_requested.connect(lambda entry: self.show_figures(entry.path))
        page.jobs.cancel_requested.connect(queue.cancel)
        page.jobs.retry_requested.connect(queue.retry)
        page.jobs.dismiss_requested.connect(queue.dismiss)
        queue.changed.connect(lambda: page.jobs.show_jobs(queue.jobs))
        queue.succeeded.connect(self._succeeded)
        models.changed.connect(lambda: page.show_entries(models.entries))
        models.remove_failed.connect(self._remove_failed)

    def import_paths(self, paths: list[Path]) -> None:
        """Look at each of the files or folders, then ask how to import it."""
        for path in paths:
            self._background.run(partial(_inspect, path), self._ask_how, partial(self._show_import_error, path.name))

    def open_file(self, path: Path) -> None:
        """Use a GGUF file where it lies and chat with it; ask how to import a checkpoint."""
        self._background.run(partial(_inspect_to_open, path), self._open, partial(self._not_opened, path.name))

    def show_figures(self, path: Path) -> None:
        """Show what a comparison of a model with its reference found."""
        entry = self._models.find(path)
        if entry is not None and entry.card.verification is not None:
            dialog = FiguresDialog(entry, self._page.window())
            dialog.exec()
            dialog.deleteLater()

    def repair(self, path: Path) -> None:
        """Write the cured file beside the other models; the old one stays until the user deletes it."""
        entry = self._models.find(path)
        out = _free_path(self._models.folder, f"{path.stem}-repaired")
        self._add_job(entry.title if entry else path.stem, RepairJob(str(path), str(out)))

    def start_import(self, source: "ImportSource", choice: ImportChoice) -> None:
        """Do what was chosen in the dialog."""
        if choice.out is None:
            self._models.add_in_place(source.path)
            if choice.name != source.name:
                self._models.rename(source.path.resolve(), choice.name)
            return
        self._add_job(source.name, ImportJob(str(source.path), str(choice.out), choice.quantization, choice.name))

    def _open(self, source: "ImportSource") -> None:
        if source.kind == "checkpoint":
            self._ask_how(source)
            return
        path = source.path.resolve()
        if not self._models.covers(path):
            self._models.add_in_place(path)
        self.chat_requested.emit(path)

    def _not_opened(self, name: str, error: Exception) -> None:
        self._show_import_error(name, error)
        self.open_failed.emit()

    def _ask_how(self, source: "ImportSource") -> None:
        """Show the dialog for one source after the other; more may arrive while one is open."""
        self._to_ask.append(source)
        if len(self._to_ask) > 1:
            return
        while self._to_ask:
            dialog = ImportDialog(self._to_ask[0], self._models.folder, self._page)
            if dialog.exec() == QDialog.DialogCode.Accepted:
                self.start_import(self._to_ask[0], dialog.choice())
            dialog.deleteLater()
            self._to_ask.pop(0)

    def _show_import_error(self, name: str, error: Exception) -> None:
        if not isinstance(error, ConversionError | EngineError | OSError):
            raise error
        title = self.tr("{} was not imported").format(name)
        message = getattr(error, "message", None) or self.tr("It cannot be read: {}.").format(error)
        self._page.show_failure(title, message, getattr(error, "remedy", None))

    def _verify(self, entry: ModelEntry) -> None:
        title = self.tr("Choose the checkpoint folder that {} was made from").format(entry.title)
        chosen = QFileDialog.getExistingDirectory(self._page, title)
        if chosen:
            self._add_job(entry.title, VerifyJob(str(entry.path), chosen))

    def _add_job(self, name: str, job: Job) -> None:
        try:
            self._queue.add(job)
        except EngineError as error:
            self._show_import_error(name, error)

    def _succeeded(self, job: QueuedJob, done: JobDone) -> None:
        if isinstance(job.job, ImportJob):
            self._imported(job, done)
            return
        self._models.refresh()
        if isinstance(job.job, RepairJob):
            path = Path(str(done.result["path"]))
            ready = self.tr("{} is ready. The old file is still there.").format(job_title(job.job))
            self._notices.say(ready, self.tr("Chat"), lambda: self.chat_requested.emit(path))
        elif done.result["verified"]:
            self._notices.say(self.tr("{} answers as its reference does.").format(job_title(job.job)))
        else:
            self._notices.say(self.tr("{} departs from its reference.").format(job_title(job.job)))

    def _imported(self, job: QueuedJob, done: JobDone) -> None:
        path, title = Path(str(done.result["path"])), job_title(job.job)
        # The name inside the file may carry an addition that llama.cpp needs.
        self._models.rename(path, title)
        self._models.refresh()
        ready = self.tr("{} is ready.").format(title)
        self._notices.say(ready, self.tr("Chat"), lambda: self.chat_requested.emit(path))

    def _rename(self, entry: ModelEntry) -> None:
        title, accepted = QInputDialog.getText(
            self._page, self.tr("Rename"), self.tr("Name of the model"), text=entry.title
        )
        if accepted:
            self._models.rename(entry.path, title)

    def _delete(self, entry: ModelEntry) -> None:
        if entry.card.reference is not None:
            question = self.tr("Remove {} from the list?").format(entry.title)
            consequence, action = self.tr("Its file stays where it is."), self.tr("Remove")
        else:
            question = self.tr("Delete {}?").format(entry.title)
            files = (
                self.tr("Its files ({}) move to the trash.")
                if entry.card.has_vision
                else self.tr("Its file ({}) moves to the trash.")
            )
            consequence = files.format(size_text(entry.card.size_bytes))
            action = self.tr("Delete")
        if self._notices.confirm(question, consequence, action):
            self.unload_requested.emit(entry.path)
            self._models.remove(entry)

    def _remove_failed(self, entry: ModelEntry, problem: str) -> None:
        question = self.tr("Delete {} for good?").format(entry.title)
        if self._notices.confirm(question, problem, self.tr("Delete for good")):
            self._models.remove(entry, trash=False)


def _free_path(folder: Path, stem: str) -> Path:
    """Give a file of the folder that is not there yet."""
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(path for name in names if not (path := folder / f"{name}.gguf").exists())


def _show_in_folder(entry: ModelEntry) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(entry.path.parent)))


def _inspect_to_open(path: Path) -> "ImportSource":
    """Look at a file as `_inspect` does, and refuse what is read but cannot answer, as an adapter."""
    from engine.library.scanner import read_card

    source = _inspect(path)
    problem = read_card(path).problem if source.kind == "gguf" else None
    if problem is not None:
        raise ConversionError("model_invalid", problem, None)
    return source


def _inspect(path: Path) -> "ImportSource":
    from app.library.import_source import inspect

    return inspect(path)
