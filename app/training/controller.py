"""Connect the Fine-tune page with the services behind it.

    controller = TrainingController(page, services)
    controller.chat_requested       # Signal(Path, str, int): chat with this model, this adapter (empty: none) and
                                    # pictures in so many crops (0: in as many as the user likes)
    controller.note_changed         # Signal(str): what the sidebar shows: `62%`, or nothing

The application also calls `services.queue.resume()` and `services.packages.resume()` at start.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QFileDialog

from app.background import Background
from app.job_queue import JobQueue
from app.notices import Notices
from app.storage.conversations import Conversations
from app.storage.messages import Messages
from app.storage.votes import Votes
from app.theme import Theme
from app.training.base_section import BaseChoice, starter_choice
from app.training.chat_data import ChatCounts, ChatDataKind, as_chat, count_chat, write_chats
from app.training.chats_dialog import ChatsDialog
from app.training.export_dialog import ExportDialog
from app.training.new_run_dialog import NewRunDialog, Places
from app.training.packages import TrainingPackages
from app.training.page import TrainingPage
from app.training.results import adapter_in_library, export_path, export_source, model_for
from app.training.run import Run
from app.training.run_note import RunNote
from app.training.run_queue import RunQueue
from app.training.wording import size_text
from converter.errors import ConversionError
from engine.data.from_chat import Chat
from engine.data.libraries import is_installed
from engine.errors import EngineError
from engine.jobs.events import ImportJob, TrainJob
from engine.library.folders import assets_dir
from engine.training.settings import LEARNING_RATES

LIBRARIES = ("torch", "transformers", "peft", "tokenizers")
MOST_CHATS = 500
EXAMPLE = "support-tone.jsonl"


@dataclass(frozen=True)
class TrainingServices:
    """Hold what the controller works with; `models` and `models_folder` ask the library."""

    theme: Theme
    queue: RunQueue
    jobs: JobQueue
    conversations: Conversations
    messages: Messages
    votes: Votes
    notices: Notices
    background: Background
    packages: TrainingPackages
    models: Callable[[], Sequence[Path]]
    models_folder: Callable[[], Path]
    bases: Path
    datasets: Path


class TrainingController(QObject):
    """Turn the page's asks into runs, and what they report into what the page shows."""

    chat_requested = Signal(Path, str, int)
    note_changed = Signal(str)

    def __init__(self, page: TrainingPage, services: TrainingServices) -> None:
        """Connect everything."""
        super().__init__(page)
        self._page, self._services = page, services
        self._queue = services.queue
        self._dialog: NewRunDialog | None = None
        # Runs that are asked to end and to begin again with another job.
        self._again: dict[str, TrainJob] = {}
        page.new_requested.connect(self.ask_new)
        page.example_requested.connect(lambda: self.ask_new([example_file()]))
        page.card.asked.connect(self._do)
        page.table.chat_requested.connect(self.use_in_chat)
        page.table.export_requested.connect(self._ask_export)
        page.table.continue_requested.connect(self._queue.start_again)
        page.table.folder_requested.connect(lambda run: _open(run.folder))
        page.table.card_requested.connect(lambda run: _open(run.result_path("card")))
        page.table.delete_requested.connect(self._delete)
        self._queue.changed.connect(self._show)
        self._queue.ended.connect(self._ended)
        self._queue.failed.connect(services.notices.say)
        page.packages.install_requested.connect(self._ask_install)
        page.packages.wheels_requested.connect(self._ask_wheels)
        page.packages.cancel_requested.connect(services.packages.cancel)
        services.packages.changed.connect(self._show_packages)
        services.packages.installed.connect(lambda: services.notices.say(self.tr("Training can begin.")))
        self._show_packages()

    def ask_new(self, paths: Sequence[Path]) -> NewRunDialog:
        """Open the dialog for a new run, with files chosen already."""
        if self._dialog is None:
            services = self._services
            places = Places(services.bases, services.models_folder(), services.datasets)
            dialog = self._dialog = NewRunDialog(
                services.theme, self._bases(), places, self._queue.new_folder, self._page
            )
            dialog.started.connect(self._start)
            dialog.chats_requested.connect(self._ask_chats)
            dialog.example_requested.connect(lambda: dialog.add_data([example_file()]))
            dialog.finished.connect(self._dialog_closed)
            dialog.setModal(True)
            dialog.show()
        if paths:
            self._dialog.add_data(list(paths))
        return self._dialog

    def close(self) -> None:
        """End what the dialog has under way; runs go on."""
        if self._dialog is not None:
            self._dialog.reject()

    def use_in_chat(self, run: Run) -> None:
        """Chat with what a run has made."""
        services = self._services
        if not run.is_adapter:
            self._ask_export(run)
            return
        models, folder = list(services.models()), services.models_folder()

        def prepare() -> tuple[Path | None, str]:
            model = model_for(run, models)
            return model, "" if model is None else str(adapter_in_library(run, folder))

        services.background.run(prepare, partial(self._chat_prepared, run), self._show_error)

    def export(self, run: Run, name: str, quantization: str) -> None:
        """Make a model of the library of a run's result."""
        folder = self._services.models_folder()

        def prepare() -> ImportJob:
            source, adapter = export_source(run)
            out = export_path(folder, source, name, quantization)
            return ImportJob(str(source), str(out), quantization, name, None if adapter is None else str(adapter))

        self._services.background.run(prepare, self._export_prepared, self._show_error)

    def _show(self) -> None:
        active = self._queue.active
        self._page.show_runs(self._queue.runs, active)
        fraction = active.fraction if active is not None else None
        self.note_changed.emit(f"{round(100 * fraction)}%" if fraction is not None else "")

    def _start(self, folder: Path, job: TrainJob, note: RunNote) -> None:
        try:
            run = self._queue.add(folder, job, note)
        except EngineError as error:
            self._services.notices.show_error(error)
            return
        if run.state == "queued":
            self._services.notices.say(self.tr("{} waits for its turn.").format(note.title))

    def _do(self, ask: str, run: Run) -> None:
        """Do what a button of the card asks for."""
        again = {"continue": None, "retry": _gentler(run.job), "smaller batch": _smaller(run.job)}
        if ask in again and run.ended:
            self._queue.start_again(run, again[ask])
        elif ask == "smaller batch":
            self._again[run.identity] = _smaller(run.job)
            self._queue.stop(run)
        else:
            acts = {
                "pause": self._queue.pause,
                "go on": self._queue.go_on,
                "finish": self._queue.finish,
                "stop": self._queue.stop,
                "confirm": self._queue.confirm,
            }
            acts[ask](run)

    def _ended(self, run: Run) -> None:
        again = self._again.pop(run.identity, None)
        if again is not None:
            self._queue.start_again(run, again)
        elif run.state == "done":
            ready = self.tr("{} is ready.").format(run.note.title)
            self._services.notices.say(ready, self.tr("Use in chat"), lambda: self.use_in_chat(run))

    def _chat_prepared(self, run: Run, found: tuple[Path | None, str]) -> None:
        model, adapter = found
        if model is not None:
            self.chat_requested.emit(model, adapter, run.job.num_crops if run.sees else 0)
            return
        say = self.tr("The library has no model made of {}, so export the run as one.").format(run.note.base)
        self._services.notices.say(say)
        self._ask_export(run)

    def _ask_export(self, run: Run) -> None:
        dialog = ExportDialog(run, self._page)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self.export(run, dialog.name.text().strip(), dialog.quantization)
        dialog.deleteLater()

    def _export_prepared(self, job: ImportJob) -> None:
        try:
            self._services.jobs.add(job)
        except EngineError as error:
            self._show_error(error)
            return
        self._services.notices.say(self.tr("{} is being written; it will be on the Models page.").format(job.name))

    def _delete(self, run: Run) -> None:
        question = self.tr("Delete the run {}?").format(run.note.title)
        consequence = self.tr("Its data, checkpoints and results are removed. Models you exported stay.")
        if self._services.notices.confirm(question, consequence, self.tr("Delete")):
            self._queue.delete(run)

    def _ask_chats(self) -> None:
        """Copy chats that the user chooses into a file of data, and add it to the dialog."""
        services = self._services
        dialog = ChatsDialog(services.conversations.page(MOST_CHATS), self._count_chat, self._dialog)
        chosen = dialog.chosen if dialog.exec() == QDialog.DialogCode.Accepted else []
        kind = dialog.kind
        dialog.deleteLater()
        if chosen:
            self.take_chats(chosen, kind)

    def take_chats(self, chosen: Sequence[int], kind: ChatDataKind = "conversations") -> None:
        """Make data of these chats for the dialog that is open."""
        chats = [chat for each in chosen if (chat := self._chat(each)) is not None]
        write = partial(write_chats, chats, self._services.datasets, kind)
        self._services.background.run(write, self._chats_written, self._show_error)

    def _chat(self, conversation_id: int) -> Chat | None:
        """Read a chat for training, with every version, rating and vote."""
        services = self._services
        conversation = services.conversations.get(conversation_id)
        if conversation is None:
            return None
        shown = {message.id for message in services.messages.path(conversation_id)}
        votes = services.votes.of_chat(conversation_id)
        return as_chat(conversation, services.messages.all_of(conversation_id), shown, votes)

    def _count_chat(self, conversation_id: int) -> ChatCounts:
        chat = self._chat(conversation_id)
        return ChatCounts() if chat is None else count_chat(chat)

    def _chats_written(self, file: Path) -> None:
        if self._dialog is not None:
            self._dialog.data.remove_all()
            self._dialog.add_data([file])

    def _dialog_closed(self) -> None:
        if self._dialog is not None:
            self._dialog.deleteLater()
            self._dialog = None

    def _bases(self) -> list[BaseChoice]:
        """Offer the Starter, whole models of former runs, and the folders that former runs began with."""
        about = self.tr("Built in, 135 million parameters: quick to try, and it makes mistakes.")
        choices = {"starter": starter_choice(self.tr("Starter"), about)}
        for run in self._queue.runs:
            result = None if run.is_adapter else run.result_path("path")
            if result is not None:
                choices[str(result)] = BaseChoice(str(result), run.note.title, self.tr("The result of an earlier run."))
            if Path(run.job.base).is_dir():
                choices.setdefault(run.job.base, BaseChoice(run.job.base, run.note.base, run.job.base))
        return list(choices.values())

    def _show_error(self, error: Exception) -> None:
        if not isinstance(error, EngineError | ConversionError | OSError):
            raise error
        self._services.notices.show_error(error)

    def remove_packages(self) -> None:
        """Delete the packages of training, when the user means it and nothing is being trained."""
        services = self._services
        if self._queue.active is not None:
            services.notices.say(self.tr("The packages are in use: a run goes on."))
            return
        question = self.tr("Remove the packages of training?")
        consequence = self.tr("Runs and their results stay. Before the next run the packages are downloaded again.")
        if services.notices.confirm(question, consequence, self.tr("Remove")):
            services.packages.remove()

    def _show_packages(self) -> None:
        self._page.packages.show_status(self._services.packages.status)

    def _ask_install(self) -> None:
        packages, status = self._services.packages, self._services.packages.status
        rest = size_text(status.download_bytes - status.downloaded_bytes)
        question = self.tr("Download {} of packages for training?").format(rest)
        disk = size_text(status.disk_bytes)
        where = self.tr("They come from the servers of PyPI and PyTorch, and take about {} in {}")
        if self._services.notices.confirm(question, where.format(disk, packages.folder), self.tr("Download")):
            packages.install()

    def _ask_wheels(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self._page, self.tr("Choose the folder of wheels"))
        if chosen:
            self._services.packages.install(Path(chosen))


def has_own_packages() -> bool:
    """Tell whether Python has what training needs without installing anything."""
    return all(map(is_installed, LIBRARIES))


def example_file() -> Path:
    """Return the example data that comes with the program."""
    return assets_dir() / "training" / EXAMPLE


def _smaller(job: TrainJob) -> TrainJob:
    return replace(job, batch_size=max(job.batch_size // 2, 1))


def _gentler(job: TrainJob) -> TrainJob:
    return replace(job, learning_rate=(job.learning_rate or LEARNING_RATES[job.method]) / 4)


def _open(path: Path | None) -> None:
    if path is not None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
