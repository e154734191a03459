"""Be the window: the sidebar, the pages, and the keys that work everywhere."""

from collections.abc import Callable

from PySide6.QtCore import QByteArray, QMimeData, Qt, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QKeyEvent,
    QKeySequence,
    QShortcut,
)
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QStackedWidget, QWidget

from app.theme import Theme
from app.widgets.picture_sources import drops_pictures
from app.widgets.surfaces import Hairline
from app.window.drop_overlay import DropOverlay
from app.window.sidebar import Sidebar

SIZE = (1280, 800)
SMALLEST = (640, 480)
CHAT = "chat"


class MainWindow(QMainWindow):
    """Show one of the pages beside the sidebar."""

    new_chat_requested = Signal()
    search_requested = Signal()
    composer_requested = Signal()
    copy_last_requested = Signal()
    stop_requested = Signal()
    page_shown = Signal(str)
    pictures_dropped = Signal(QMimeData)
    closing = Signal()

    def __init__(self, theme: Theme, chats: QWidget) -> None:
        """Make a window without pages."""
        super().__init__()
        self._theme = theme
        self._keys: list[str] = []
        self._by_key: dict[str, QWidget] = {}
        self._wanted = CHAT
        self.setWindowTitle("Phidelity")
        self.resize(*SIZE)
        self.setMinimumSize(*SMALLEST)
        self.sidebar = Sidebar(chats)
        self._sidebar_line = Hairline(Qt.Orientation.Vertical)
        self._pages = QStackedWidget()
        content = QWidget()
        layout = QHBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.sidebar)
        layout.addWidget(self._sidebar_line)
        layout.addWidget(self._pages, 1)
        self.setCentralWidget(content)
        self.setAcceptDrops(True)
        self._overlay = DropOverlay(theme, self)
        self.sidebar.new_chat_requested.connect(self.new_chat_requested)
        self.sidebar.page_requested.connect(self.show_page)
        self._add_shortcuts()

    def announce_page(self, key: str, title: str) -> None:
        """Make the way to a page that is added later; that of the chats has no entry in the sidebar."""
        self._keys.append(key)
        if key != CHAT:
            self.sidebar.add_page(key, title)
        self._bind(f"Ctrl+{len(self._keys)}", lambda: self.show_page(key))

    def add_page(self, key: str, page: QWidget) -> None:
        """Add a page, and show it if it has been asked for."""
        self._pages.addWidget(page)
        self._by_key[key] = page
        if key == self._wanted:
            self.show_page(key)

    def show_page(self, key: str) -> None:
        """Show a page, once it is there."""
        self._wanted = key
        page = self._by_key.get(key)
        if page is None:
            return
        self._pages.setCurrentWidget(page)
        # Else Qt gives the focus to the first button of the page, as if it were proposed.
        page.setFocus()
        self.sidebar.set_current(key)
        self.page_shown.emit(key)

    def toggle_sidebar(self) -> None:
        """Hide or show the sidebar."""
        shown = self.sidebar.isHidden()
        self.sidebar.setVisible(shown)
        self._sidebar_line.setVisible(shown)

    def come_forward(self) -> None:
        """Stand before other windows, as far as the desktop allows it."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def geometry_text(self) -> str:
        """Return place and size as a text for the settings."""
        return bytes(self.saveGeometry().toBase64().data()).decode("ascii")

    def restore_geometry_text(self, text: str) -> None:
        """Take place and size from the settings, if they make sense on this screen."""
        if text:
            self.restoreGeometry(QByteArray.fromBase64(text.encode("ascii", "ignore")))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Stop the answer on an Esc that nothing else had a use for."""
        if event.key() == Qt.Key.Key_Escape:
            self.stop_requested.emit()
        else:
            super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files and pictures anywhere, unless what lies there has a use of its own for them."""
        if drops_pictures(event.mimeData()):
            event.acceptProposedAction()
            self._overlay.cover()

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        """Show the window again."""
        self._overlay.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        """Hand the pictures on."""
        self._overlay.hide()
        event.acceptProposedAction()
        self.pictures_dropped.emit(event.mimeData())

    def closeEvent(self, event: QCloseEvent) -> None:
        """Say that the window closes, while everything is still there."""
        self.closing.emit()
        super().closeEvent(event)

    def _add_shortcuts(self) -> None:
        self._bind("Ctrl+N", self.new_chat_requested.emit)
        self._bind("Ctrl+K", self._search)
        self._bind("Ctrl+L", self.composer_requested.emit)
        self._bind("Ctrl+B", self.toggle_sidebar)
        self._bind("Ctrl+Shift+C", self.copy_last_requested.emit)
        self._bind("Ctrl+,", lambda: self.show_page("settings"))
        self._bind("Ctrl+0", self._theme.reset_scale)
        for keys in ("Ctrl++", "Ctrl+="):
            self._bind(keys, self._theme.grow)
        self._bind("Ctrl+-", self._theme.shrink)
        self._bind("Ctrl+Q", self.close)

    def _search(self) -> None:
        if self.sidebar.isHidden():
            self.toggle_sidebar()
        self.search_requested.emit()

    def _bind(self, keys: str, action: Callable[[], object]) -> None:
        shortcut = QShortcut(QKeySequence(keys), self)
        shortcut.activated.connect(action)
