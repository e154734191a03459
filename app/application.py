"""Build every long-lived object once, connect the parts of the window, and own the order of shutdown."""

import logging
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QApplication

from app.background import Background
from app.chat.controller import ChatController
from app.chat.conversation_list import ConversationList
from app.chat.item_models import ConversationListModel
from app.chat.page import ChatPage
from app.chat.services import ChatServices
from app.chat.top_bar import ModelChoice
from app.crash import CrashReporter
from app.engine_bridge import EngineBridge
from app.job_queue import JobQueue
from app.library.controller import LibraryController
from app.library.model_list import ModelList
from app.library.page import ModelsPage
from app.notices import Notices
from app.paths import Paths, assets_dir
from app.preferences.page import SettingsPage
from app.settings import Settings
from app.storage.conversations import Conversations
from app.storage.database import open_database
from app.storage.errors import StorageError
from app.storage.messages import Messages
from app.storage.models import ModelRecords
from app.theme import Mode, Theme
from app.window.frame import CHAT, MainWindow

log = logging.getLogger(__name__)

MODELS, SETTINGS = "models", "settings"


class Application(QObject):
    """Be the running program."""

    def __init__(self, qt: QApplication, paths: Paths, theme: Mode | None = None) -> None:
        """Open the profile and build the window; raise StorageError if the profile cannot be used.

        `theme` overrides the one of the settings for this run.
        """
        super().__init__(qt)
        self._lock = _lock_profile(paths)
        database = open_database(paths.database)
        # The worker takes longest to start, so it starts first.
        self.bridge = EngineBridge(parent=self)
        self.settings = Settings(paths.settings, self)
        self.theme = Theme(qt, assets_dir(), theme or _mode(self.settings), self.settings.values.text_scale)
        self._database = database
        self._crash = CrashReporter(paths.logs, self)
        self._background = Background(self)
        self._queue = JobQueue(paths.jobs, self)
        self._records = ModelRecords(database)
        self._models = ModelList(self.settings, paths.models, self._records, self._background, self)
        self._closed = False
        self._theme_overridden = theme is not None
        self._build_window(paths)
        self._connect()
        notices = [self._database.notice, self.settings.notice]
        for sentence in filter(None, notices):
            self._notices.say(sentence)
        self._crash.install(self.chat.save_draft)
        qt.aboutToQuit.connect(self.shutdown)

    def start(self) -> None:
        """Show the window, and load a model while the user looks at it."""
        self.window.show()
        self._chat_page.composer.take_focus()
        self.chat.models.load_again()
        self._models.refresh()
        self._queue.resume()

    def shutdown(self) -> None:
        """End everything in order: what the user wrote, the jobs' follower, the worker, threads, the storage."""
        if self._closed:
            return
        self._closed = True
        self.window.hide()
        self.chat.close()
        self.settings.change(window_geometry=self.window.geometry_text())
        self._queue.close()
        self.bridge.close()
        self._background.close()
        self._database.close()
        self._crash.uninstall()
        self._lock.unlock()

    def _build_window(self, paths: Paths) -> None:
        conversations, messages = Conversations(self._database), Messages(self._database)
        messages.recover_interrupted()
        conversations.empty_trash()
        self._chats = ConversationList(self.theme, ConversationListModel(conversations))
        self.window = MainWindow(self.theme, self._chats)
        self.window.setWindowIcon(QIcon(str(assets_dir() / "icons" / "phidelity.svg")))
        self.window.restore_geometry_text(self.settings.values.window_geometry)
        self._notices = Notices(self.window)
        self._chat_page = ChatPage(self.theme)
        services = ChatServices(
            self.bridge,
            conversations,
            messages,
            self._records,
            self.settings,
            self._notices,
        )
        self.chat = ChatController(self._chat_page, self._chats, services)
        self._models_page = ModelsPage()
        self._library = LibraryController(self._models_page, self._models, self._queue, self._notices, self._background)
        self._settings_page = SettingsPage(self.settings, paths.models, paths.data)
        self.window.add_page(CHAT, self.tr("Chat"), self._chat_page)
        self.window.add_page(MODELS, self.tr("Models"), self._models_page)
        self.window.add_page(SETTINGS, self.tr("Settings"), self._settings_page)
        self.chat.open_latest()

    def _connect(self) -> None:
        window, chat = self.window, self.chat
        window.new_chat_requested.connect(chat.new_chat)
        window.new_chat_requested.connect(self._go_to_composer)
        window.search_requested.connect(self._chats.focus_search)
        window.composer_requested.connect(self._go_to_composer)
        window.stop_requested.connect(chat.stop)
        window.copy_last_requested.connect(self._copy_last_answer)
        window.closing.connect(QApplication.quit)
        chat.chat_shown.connect(self._go_to_composer)
        chat.models_requested.connect(lambda: window.show_page(MODELS))
        chat.settings_requested.connect(lambda: window.show_page(SETTINGS))
        chat.models.speed_measured.connect(lambda path, speed: self._models.note_speed(Path(path), speed))
        self._library.chat_requested.connect(self._chat_with)
        self._library.unload_requested.connect(self._unload)
        self._models.changed.connect(self._show_models)
        self._settings_page.reload_requested.connect(chat.models.load_again)
        self.bridge.state_changed.connect(self._engine_changed)
        self.settings.changed.connect(self._setting_changed)
        self.settings.save_failed.connect(self._notices.say)
        self.theme.changed.connect(lambda: self.settings.change(text_scale=self.theme.scale))

    def _go_to_composer(self) -> None:
        self.window.show_page(CHAT)
        self._chat_page.composer.take_focus()

    def _copy_last_answer(self) -> None:
        text = self.chat.last_answer()
        if text:
            QGuiApplication.clipboard().setText(text)
            self._notices.say(self.tr("Last answer copied."))

    def _chat_with(self, path: Path) -> None:
        self.chat.models.load(str(path))
        self.chat.new_chat()
        self._go_to_composer()

    def _unload(self, path: Path) -> None:
        if self.bridge.state.path == str(path):
            self.bridge.unload()

    def _show_models(self) -> None:
        """Tell the other pages which models there are."""
        usable = [entry for entry in self._models.entries if entry.card.problem is None]
        self.chat.models.set_choices(
            [
                ModelChoice(str(entry.path), entry.title, entry.card.quantization, entry.card.size_bytes)
                for entry in usable
            ]
        )
        self._settings_page.show_models([(entry.title, entry.path) for entry in usable])
        self.window.sidebar.set_note(MODELS, str(len(self._models.entries)))

    def _engine_changed(self) -> None:
        state, ready = self.bridge.state, self.bridge.ready
        if ready is not None:
            self._settings_page.show_versions(ready.versions)
            self._settings_page.set_gpu_available(any(device.kind == "gpu" for device in ready.devices))
        if state.kind == "ready":
            self._settings_page.note_model_loaded()
        elif state.kind in ("none", "failed"):
            self._settings_page.note_model_unloaded()

    def _setting_changed(self, name: str) -> None:
        if name == "theme" and not self._theme_overridden:
            self.theme.set_mode(_mode(self.settings))
        elif name == "text_scale":
            self.theme.set_scale(self.settings.values.text_scale)


def _mode(settings: Settings) -> Mode:
    """Return the theme of the settings; its values are checked there."""
    mode = settings.values.theme
    return mode if mode in ("light", "dark") else "system"  # type: ignore[return-value]


def _lock_profile(paths: Paths) -> QLockFile:
    """Make sure that no other window uses the profile: the storage has one writer."""
    try:
        paths.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            "storage_read_only", f"The folder {paths.data} cannot be made.", "Choose another one with --profile."
        ) from error
    lock = QLockFile(str(paths.data / "window.lock"))
    lock.setStaleLockTime(0)
    if not lock.tryLock(0):
        raise StorageError(
            "profile_in_use", "Phidelity is already open.", "Use its window, or start with another --profile."
        )
    return lock
