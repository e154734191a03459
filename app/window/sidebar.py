"""Be the left edge of the window: the title, a new chat, the list of chats, and the pages."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.widgets.buttons import Button
from app.widgets.labels import Label
from app.widgets.style import restyle

WIDTH = 248


class Sidebar(QWidget):
    """Lead to the chats and pages."""

    new_chat_requested = Signal()
    page_requested = Signal(str)

    def __init__(self, chats: QWidget, parent: QWidget | None = None) -> None:
        """Hold the list of chats."""
        super().__init__(parent)
        self.setProperty("kind", "sidebar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(WIDTH)
        self.setAccessibleName(self.tr("Sidebar"))
        self._entries: dict[str, _PageEntry] = {}
        new_chat = Button(self.tr("+ New chat"), "text")
        new_chat.setAccessibleName(self.tr("New chat"))
        new_chat.clicked.connect(self.new_chat_requested)
        header = QHBoxLayout()
        header.setContentsMargins(16, 12, 10, 14)
        header.addWidget(Label("Phidelity", "heading"))
        header.addStretch()
        header.addWidget(new_chat)
        self._pages = QVBoxLayout()
        self._pages.setContentsMargins(9, 8, 9, 12)
        self._pages.setSpacing(2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(header)
        layout.addWidget(chats, 1)
        layout.addLayout(self._pages)

    def add_page(self, key: str, title: str) -> None:
        """Add an entry that leads to a page."""
        entry = _PageEntry(title, self)
        entry.clicked.connect(lambda: self.page_requested.emit(key))
        self._entries[key] = entry
        self._pages.addWidget(entry)

    def set_current(self, key: str) -> None:
        """Mark the page that is shown; that of the chats has no entry."""
        for name, entry in self._entries.items():
            restyle(entry, "current", "true" if name == key else "false")

    def set_note(self, key: str, note: str, *, is_live: bool = False) -> None:
        """Show a few letters at the right of an entry, in the accent colour where something goes on."""
        self._entries[key].set_note(note, is_live)


class _PageEntry(QPushButton):
    """Be one entry, with a note at its right."""

    def __init__(self, title: str, parent: QWidget) -> None:
        super().__init__(title, parent)
        self.setProperty("kind", "page-entry")
        self.setProperty("current", "false")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._note = Label("", "small", self)
        self._note.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def set_note(self, note: str, is_live: bool) -> None:
        """Show another note."""
        self._note.setText(note)
        self._note.set_kind("small-accent" if is_live else "small")
        self.setAccessibleDescription(note)
        self._place_note()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the note at the right."""
        super().resizeEvent(event)
        self._place_note()

    def _place_note(self) -> None:
        size = self._note.sizeHint()
        self._note.setGeometry(self.width() - size.width() - 11, (self.height() - size.height()) // 2, *size.toTuple())
