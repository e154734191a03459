"""Build every long-lived object once, connect the parts of the window, and own the order of shutdown."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QLockFile, QMimeData, QObject, QTimer
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QApplication

from app.chat.controller import ChatController
from app.chat.conversation_list import ConversationList
from app.chat.item_models import ConversationListModel
from app.chat.page import ChatPage
from app.chat.services import ChatServices
from app.crash import CrashReporter
from app.engine_bridge import EngineBridge
from app.notices import Notices
from app.opening import OpenRequests
from app.paths import Paths, assets_dir
from app.settings import Settings
from app.storage.conversations import Conversations
from app.storage.database import open_database
from app.storage.errors import StorageError
from app.storage.messages import Messages
from app.storage.models import ModelRecords
from app.storage.pictures import Pictures
from app.storage.votes import Votes
from app.theme import Mode, Theme
from app.window.frame import CHAT, MainWindow

if TYPE_CHECKING:
    from app.other_pages import OtherPages

AFTER_FIRST_PAINT_MS = 50


class Application(QObject):
    """Be the running program."""

    def __init__(self, qt: QApplication, paths: Paths, theme: Mode | None = None) -> None:
        """Open the profile and build the window; raise StorageError if the profile cannot be used.

        `theme` overrides the one of the settings for this run.
        """
        super().__init__(qt)
        self._paths = paths
        self._lock = _lock_profile(paths)
        self._database = open_database(paths.database)
        # The worker takes longest to start, so it starts first.
        self.bridge = EngineBridge(parent=self)
        self.settings = Settings(paths.settings, self)
        self.theme = Theme(qt, assets_dir(), theme or _mode(self.settings), self.settings.values.text_scale)
        self._theme_overridden = theme is not None
        self._records = ModelRecords(self._database)
        self._closed = False
        self._requests = OpenRequests(paths.open_requests, qt, self)
        self.others: OtherPages | None = None
        self._build_window()
        self._connect()
        self._crash = CrashReporter(paths.logs, self)
        self._crash.install(self.chat.save_draft)
        for sentence in filter(None, [self._database.notice, self.settings.notice]):
            self._notices.say_until_read(sentence)
        qt.aboutToQuit.connect(self.shutdown)

    def start(self, model: Path | None = None) -> None:
        """Show the window, load a model while the user looks at it, and build what is not seen yet.

        `model` is a file to open instead of loading the model of last time.
        """
        self.window.show()
        self._go_to_composer()
        if model is None:
            self.chat.models.load_again()
            QTimer.singleShot(AFTER_FIRST_PAINT_MS, self, self.build_other_pages)
        else:
            QTimer.singleShot(AFTER_FIRST_PAINT_MS, self, lambda: self.open_model(model))

    def open_model(self, path: Path) -> None:
        """Add the model of a file to the others and load it, in front of the user."""
        self.build_other_pages()
        if self.others is not None:
            self.window.come_forward()
            self.others.open_model(path)

    def build_other_pages(self) -> None:
        """Add the pages beside the chat; the first picture of the window does not wait for them."""
        from app.other_pages import OtherPages

        if self._closed or self.others is not None:
            return
        self.others = OtherPages(
            self.window,
            self.chat,
            self.bridge,
            self.settings,
            self._records,
            self._conversations,
            self._messages,
            self._votes,
            self._notices,
            self.theme,
            self._paths,
        )
        self.others.composer_requested.connect(self._go_to_composer)

    def shutdown(self) -> None:
        """End everything in order: what the user wrote, the other pages' work, the worker, the storage."""
        if self._closed:
            return
        self._closed = True
        self.window.hide()
        self.chat.close()
        self.settings.change(window_geometry=self.window.geometry_text())
        if self.others is not None:
            self.others.close()
        self.bridge.close()
        self._database.close()
        self._crash.uninstall()
        self._lock.unlock()

    def _build_window(self) -> None:
        conversations, messages = Conversations(self._database), Messages(self._database)
        self._conversations, self._messages, self._votes = conversations, messages, Votes(self._database)
        messages.recover_interrupted()
        pictures = Pictures(self._database)
        conversations.empty_trash()
        if self._database.notice is None:
            # After damage nobody knows yet which pictures are still wanted.
            pictures.sweep()
        self.chats = ConversationList(self.theme, ConversationListModel(conversations))
        self.window = MainWindow(self.theme, self.chats)
        self.window.setWindowIcon(QIcon(str(assets_dir() / "icons" / "phidelity.svg")))
        self.window.restore_geometry_text(self.settings.values.window_geometry)
        self._notices = Notices(self.window)
        self.chat_page = ChatPage(self.theme)
        services = ChatServices(
            self.bridge,
            conversations,
            messages,
            self._votes,
            pictures,
            self._records,
            self.settings,
            self._notices,
            self._paths.picture_cache,
            self._paths.thread_cache,
        )
        self.chat = ChatController(self.chat_page, self.chats, services)
        self.window.announce_page(CHAT, self.tr("Chat"))
        self.window.announce_page("models", self.tr("Models"))
        self.window.announce_page("training", self.tr("Fine-tune"))
        self.window.announce_page("settings", self.tr("Settings"))
        self.window.add_page(CHAT, self.chat_page)
        self.chat.open_latest()

    def _connect(self) -> None:
        window, chat = self.window, self.chat
        window.new_chat_requested.connect(chat.new_chat)
        window.new_chat_requested.connect(self._go_to_composer)
        window.search_requested.connect(self.chats.focus_search)
        window.composer_requested.connect(self._go_to_composer)
        window.page_shown.connect(lambda key: self.chat_page.composer.take_focus() if key == CHAT else None)
        window.stop_requested.connect(chat.stop)
        window.copy_last_requested.connect(self._copy_last_answer)
        window.closing.connect(QApplication.quit)
        window.pictures_dropped.connect(self._attach)
        chat.chat_shown.connect(self._go_to_composer)
        chat.models_requested.connect(lambda: window.show_page("models"))
        chat.settings_requested.connect(lambda: window.show_page("settings"))
        self._requests.file_requested.connect(self.open_model)
        self.settings.changed.connect(self._setting_changed)
        self.settings.save_failed.connect(self._notices.say)
        self.theme.changed.connect(lambda: self.settings.change(text_scale=self.theme.scale))

    def _go_to_composer(self) -> None:
        self.window.show_page(CHAT)

    def _attach(self, mime: QMimeData) -> None:
        """Attach what was dropped anywhere to the chat."""
        self._go_to_composer()
        self.chat.pictures.attach_from(mime)

    def _copy_last_answer(self) -> None:
        text = self.chat.last_answer()
        if text:
            QGuiApplication.clipboard().setText(text)
            self._notices.say(self.tr("Last answer copied."))

    def _setting_changed(self, name: str) -> None:
        if name == "theme" and not self._theme_overridden:
            self.theme.set_mode(_mode(self.settings))
        elif name == "text_scale":
            self.theme.set_scale(self.settings.values.text_scale)


def _mode(settings: Settings) -> Mode:
    """Return the theme of the settings."""
    match settings.values.theme:
        case "light":
            return "light"
        case "dark":
            return "dark"
    return "system"


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
