"""Show pictures large, one at a time."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage, QKeySequence, QPainter, QPaintEvent, QPixmap, QShortcut
from PySide6.QtWidgets import QDialog, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.background import Background
from app.storage.pictures import AttachedPicture
from app.widgets.buttons import Button
from app.widgets.labels import ElidedLabel, Label

SHARE_OF_WINDOW = 0.92
SMALLEST = QSize(480, 360)


class PictureViewer(QDialog):
    """Show one of several pictures; arrows go to the others, Esc closes."""

    def __init__(
        self, pictures: Sequence[AttachedPicture], index: int, background: Background, parent: QWidget | None = None
    ) -> None:
        """Begin with the picture at `index`; the large files are read by `background`."""
        super().__init__(parent)
        self._pictures = list(pictures)
        self._background = background
        self._index = index
        self._canvas = _Canvas(self)
        self._caption = ElidedLabel("", "muted")
        self._place = Label("", "small")
        self._previous = self._step_button("‹", self.tr("Previous picture"), -1)
        self._next = self._step_button("›", self.tr("Next picture"), 1)
        self._close = Button(self.tr("Close"))
        self._close.clicked.connect(self.accept)
        self._lay_out()
        self._add_shortcuts()
        if parent is not None:
            self.resize((parent.window().size() * SHARE_OF_WINDOW).expandedTo(SMALLEST))
        self._show(index)

    @property
    def index(self) -> int:
        """Return which picture is shown."""
        return self._index

    @property
    def shown_size(self) -> QSize:
        """Return the size in pixels of what is shown now, first the thumbnail and then the large view."""
        return self._canvas.pixmap_size

    def step(self, by: int) -> None:
        """Go to a picture before or after this one."""
        if by and 0 <= self._index + by < len(self._pictures):
            self._show(self._index + by)

    def done(self, result: int) -> None:
        """Close; what is still being read comes too late."""
        self._index = -1
        super().done(result)

    def _add_shortcuts(self) -> None:
        """Take the arrows before the buttons do, which would move the focus with them."""
        actions = {
            Qt.Key.Key_Left: lambda: self.step(-1),
            Qt.Key.Key_Right: lambda: self.step(1),
            Qt.Key.Key_Home: lambda: self.step(-self._index),
            Qt.Key.Key_End: lambda: self.step(len(self._pictures) - 1 - self._index),
        }
        for key, action in actions.items():
            QShortcut(QKeySequence(key), self).activated.connect(action)

    def _show(self, index: int) -> None:
        """Show the thumbnail at once and the large view when it has been read."""
        self._index = index
        picture = self._pictures[index]
        self._canvas.show_image(QImage(str(picture.thumbnail)), picture)
        self._background.run(partial(_read, picture.view), partial(self._show_large, index))
        size = self.tr("{0} × {1} pixels").format(picture.stored.width, picture.stored.height)
        self._caption.setText(f"{picture.alt_text} · {size}")
        self._place.setText(self.tr("{0} of {1}").format(index + 1, len(self._pictures)))
        self.setWindowTitle(picture.alt_text)
        for widget in (self._previous, self._next, self._place):
            widget.setVisible(len(self._pictures) > 1)
        self._previous.setEnabled(index > 0)
        self._next.setEnabled(index < len(self._pictures) - 1)

    def _show_large(self, index: int, image: QImage) -> None:
        if index == self._index and not image.isNull():
            self._canvas.show_image(image, self._pictures[index])

    def _step_button(self, text: str, name: str, by: int) -> Button:
        button = Button(text)
        button.setAccessibleName(name)
        button.setToolTip(name)
        button.clicked.connect(lambda: self.step(by))
        return button

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._caption, 1)
        for widget in (self._previous, self._place, self._next, self._close):
            row.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 16, 16, 12)
        layout.setSpacing(12)
        layout.addWidget(self._canvas, 1)
        layout.addLayout(row)


class _Canvas(QWidget):
    """Draw a picture as large as there is room, and no larger than it is."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._pixmap = QPixmap()
        self._full_size = QSize()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    @property
    def pixmap_size(self) -> QSize:
        """Return the size of the picture in pixels."""
        return self._pixmap.size()

    def show_image(self, image: QImage, picture: AttachedPicture) -> None:
        """Show a picture; its thumbnail takes the place that the large view will have."""
        self._pixmap = QPixmap.fromImage(image)
        self._full_size = QSize(picture.stored.width, picture.stored.height)
        self.setAccessibleName(self.tr("Picture: {0}").format(picture.alt_text))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw it in the middle."""
        if self._pixmap.isNull():
            return
        size = QSize(self._full_size)
        if size.width() > self.width() or size.height() > self.height():
            size.scale(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect((self.width() - size.width()) // 2, (self.height() - size.height()) // 2, *size.toTuple())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(place, self._pixmap)


def _read(view: Path) -> QImage:
    return QImage(str(view))
