"""Divide and hold.

Hairline()                      # a line across; Hairline(Qt.Orientation.Vertical) a line down
card = Card(); card.body.addWidget(...)         # panel with a thin border, radius 12, QVBoxLayout `body`
zone = DropZone("Drop a folder here")           # zone.paths_dropped(list[Path])
page = Page("Models"); page.header.addWidget(button); page.body.addWidget(...)
                                # a page: title left, `header` (QHBoxLayout) right, `body` (QVBoxLayout) scrolls
"""

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.widgets.labels import Label
from app.widgets.picture_sources import are_picture_files
from app.widgets.style import restyle

PAGE_MARGIN = 32
# Titles stand at the same height on pages with and without buttons.
HEADER_HEIGHT = 36


class Hairline(QFrame):
    """Draw a line of one pixel."""

    def __init__(self, orientation: Qt.Orientation = Qt.Orientation.Horizontal, parent: QWidget | None = None) -> None:
        """Make a line across or down."""
        super().__init__(parent)
        self.setProperty("kind", "hairline")
        if orientation is Qt.Orientation.Horizontal:
            self.setFixedHeight(1)
        else:
            self.setFixedWidth(1)


class Card(QFrame):
    """Hold related things on a panel."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty card."""
        super().__init__(parent)
        self.setProperty("kind", "card")
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(16, 14, 16, 14)
        self.body.setSpacing(8)


class DropZone(QFrame):
    """Take files and folders that are dropped on it."""

    paths_dropped = Signal(list)

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        """Make a zone that says what may be dropped."""
        super().__init__(parent)
        self.setProperty("kind", "drop-zone")
        self.setAcceptDrops(True)
        self.setAccessibleName(text)
        self._label = Label(text)
        self._label.setWordWrap(True)
        self._label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 18, 16, 18)
        layout.addWidget(self._label)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Light up for local files that are no pictures."""
        if local_paths(event) and not are_picture_files(event.mimeData()):
            restyle(self, "hot", "true")
            event.acceptProposedAction()

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        """Calm down."""
        restyle(self, "hot", "false")

    def dropEvent(self, event: QDropEvent) -> None:
        """Hand the paths on."""
        restyle(self, "hot", "false")
        event.acceptProposedAction()
        self.paths_dropped.emit(local_paths(event))


class Page(QWidget):
    """Be one page of the window: a title, actions beside it, and a body that scrolls."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        """Make an empty page."""
        super().__init__(parent)
        self.setProperty("kind", "page")
        self.setAccessibleName(title)
        self.header = QHBoxLayout()
        self.header.setSpacing(8)
        title_row = QHBoxLayout()
        title_row.setContentsMargins(PAGE_MARGIN, 24, PAGE_MARGIN, 0)
        title_row.addStrut(HEADER_HEIGHT)
        title_row.addWidget(Label(title, "title"))
        title_row.addStretch()
        title_row.addLayout(self.header)
        self.body = QVBoxLayout()
        self.body.setContentsMargins(PAGE_MARGIN, 16, PAGE_MARGIN, 24)
        self.body.setSpacing(16)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(title_row)
        layout.addWidget(self._scrolling(self.body))

    def _scrolling(self, body: QVBoxLayout) -> QScrollArea:
        content = QWidget()
        content.setProperty("kind", "page")
        content.setLayout(body)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(content)
        return area


def local_paths(event: QDropEvent) -> list[Path]:
    """Return the files and folders of this computer that are dropped."""
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
