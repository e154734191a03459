"""Build the pages beside the chat, with the services that only they need, and connect them."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.background import Background
from app.chat.controller import ChatController
from app.chat.top_bar import ModelChoice
from app.engine_bridge import EngineBridge
from app.job_queue import JobQueue
from app.library.controller import LibraryController
from app.library.model_list import ModelList
from app.library.page import ModelsPage
from app.notices import Notices
from app.paths import Paths
from app.preferences.page import SettingsPage
from app.settings import Settings
from app.storage.conversations import Conversations
from app.storage.messages import Messages
from app.storage.models import ModelRecords
from app.storage.votes import Votes
from app.theme import Theme
from app.training.controller import TrainingController, TrainingServices, has_own_packages
from app.training.packages import TrainingPackages
from app.training.page import TrainingPage
from app.training.run_queue import RunQueue
from app.window.frame import MainWindow
from engine.library.folders import default_cache_dir
from engine.pictures.stored_picture import detail_for
from engine.protocol import Adapter
from engine.training_environment.environment import default_environment
from engine.training_environment.lock import program_lock

MODELS, TRAINING, SETTINGS = "models", "training", "settings"


class OtherPages(QObject):
    """Own the Models, Fine-tune and Settings pages; the application makes it once the chat is seen."""

    composer_requested = Signal()

    def __init__(
        self,
        window: MainWindow,
        chat: ChatController,
        bridge: EngineBridge,
        settings: Settings,
        records: ModelRecords,
        conversations: Conversations,
        messages: Messages,
        votes: Votes,
        notices: Notices,
        theme: Theme,
        paths: Paths,
    ) -> None:
        """Add the pages to the window, and look for models and for the jobs of earlier windows."""
        super().__init__(window)
        self._window = window
        self._chat = chat
        self._bridge = bridge
        self._background = Background(self)
        self._queue = JobQueue(paths.jobs, self)
        self._models = ModelList(settings, paths.models, records, self._background, self)
        self.models_page = ModelsPage()
        self._library = LibraryController(self.models_page, self._models, self._queue, notices, self._background)
        self._runs = RunQueue(paths.runs, self._background, self)
        self._packages = TrainingPackages(
            default_environment(), program_lock(), self._background, has_own=has_own_packages(), parent=self
        )
        self.training_page = TrainingPage(theme)
        self.training = TrainingController(
            self.training_page,
            TrainingServices(
                theme,
                self._runs,
                self._queue,
                conversations,
                messages,
                votes,
                notices,
                self._background,
                self._packages,
                models=lambda: [entry.path for entry in self._models.entries if entry.card.problem is None],
                models_folder=lambda: self._models.folder,
                bases=default_cache_dir() / "bases",
                datasets=paths.datasets,
            ),
        )
        self.settings_page = SettingsPage(settings, paths.models, paths.data)
        window.add_page(MODELS, self.models_page)
        window.add_page(TRAINING, self.training_page)
        window.add_page(SETTINGS, self.settings_page)
        self._connect()
        self._engine_changed()
        self._models.refresh()
        self._queue.resume()
        self._runs.resume()
        self._packages.resume()

    def open_model(self, path: Path) -> None:
        """Add the model of a file and chat with it, or show on the Models page what is wrong with it."""
        self._library.open_file(path)

    def close(self) -> None:
        """Follow jobs no longer (they go on), and wait for what reads and writes."""
        self.training.close()
        self._queue.close()
        self._runs.close()
        self._packages.close()
        self._background.close()

    def _connect(self) -> None:
        self._library.chat_requested.connect(self._chat_with)
        self._library.unload_requested.connect(self._unload)
        self._library.open_failed.connect(self._not_opened)
        self._models.changed.connect(self._show_models)
        self._packages.changed.connect(self._show_packages)
        self.settings_page.packages_removal_requested.connect(self.training.remove_packages)
        self.settings_page.reload_requested.connect(self._chat.models.load_again)
        self._chat.models.figures_requested.connect(lambda path: self._library.show_figures(Path(path)))
        self._chat.models.repair_requested.connect(self._repair)
        # The file, or what is known of it, may have changed since the models were last looked through.
        self._chat.models.ready.connect(self._models.refresh)
        self._chat.models.speed_measured.connect(lambda path, speed: self._models.note_speed(Path(path), speed))
        self._bridge.state_changed.connect(self._engine_changed)
        self.training.chat_requested.connect(self._chat_with)
        self.training.note_changed.connect(lambda note: self._window.sidebar.set_note(TRAINING, note, is_live=True))
        self._chat.models.ready.connect(self._find_adapters)
        self._models.looked.connect(self._find_adapters)

    def _show_packages(self) -> None:
        status = self._packages.status
        self.settings_page.show_training_packages(status.disk_bytes if status.are_removable else 0)

    def _find_adapters(self) -> None:
        """Offer the chat the adapters that fit its model."""
        path = self._bridge.state.path
        if self._bridge.state.kind == "ready":
            self._models.find_adapters(Path(path), lambda cards: self._chat.models.set_adapters(path, cards))

    def _chat_with(self, path: Path, adapter: str = "", num_crops: int = 0) -> None:
        state = self._bridge.state
        if not adapter or state.path != str(path) or state.kind not in ("ready", "loading"):
            self._chat.models.load(str(path))
        self._chat.new_chat()
        self._chat.own.use_adapters([Adapter(adapter)] if adapter else [])
        if num_crops:
            self._chat.own.set_detail(detail_for(num_crops))
        self._chat.models.see_with(self._chat.own.companion)
        self._find_adapters()
        self.composer_requested.emit()

    def _not_opened(self) -> None:
        self._window.show_page(MODELS)
        if self._bridge.state.kind == "none":
            self._chat.models.load_again()

    def _unload(self, path: Path) -> None:
        if self._bridge.state.path == str(path):
            self._bridge.unload()

    def _repair(self, path: str) -> None:
        self._library.repair(Path(path))
        self._window.show_page(MODELS)

    def _show_models(self) -> None:
        """Tell the other pages which models there are."""
        usable = [entry for entry in self._models.entries if entry.card.problem is None]
        choices = [
            ModelChoice(
                str(entry.path),
                entry.title,
                entry.card.quantization,
                entry.card.size_bytes,
                entry.is_verified,
                has_vision=entry.card.has_vision,
                fits=entry.fit != "no",
            )
            for entry in usable
        ]
        self._chat.models.set_choices(choices)
        self.settings_page.show_models([(entry.title, entry.path) for entry in usable])
        self._window.sidebar.set_note(MODELS, str(len(self._models.entries)))

    def _engine_changed(self) -> None:
        state, ready = self._bridge.state, self._bridge.ready
        if ready is not None:
            self.settings_page.show_versions(ready.versions)
            self.settings_page.set_gpu_available(any(device.kind == "gpu" for device in ready.devices))
        if state.kind == "ready":
            self.settings_page.note_model_loaded()
        elif state.kind in ("none", "failed"):
            self.settings_page.note_model_unloaded()
