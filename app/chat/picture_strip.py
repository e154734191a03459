"""Show the pictures of a message in rows."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QWidget

from app.chat.picture_thumbnail import PictureThumbnail
from app.storage.pictures import AttachedPicture
from app.theme import Theme

THUMBNAIL = QSize(116, 84)
GAP = 8


class PictureStrip(QWidget):
    """Lay thumbnails side by side, as many in a row as there is room for."""

    opened = Signal(int)

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        """Make an empty strip, which is hidden."""
        super().__init__(parent)
        self._theme = theme
        self._pictures: tuple[AttachedPicture, ...] = ()
        self._thumbnails: list[PictureThumbnail] = []
        self.hide()

    def show_pictures(self, pictures: Sequence[AttachedPicture]) -> None:
        """Show other pictures."""
        if tuple(pictures) == self._pictures:
            return
        for thumbnail in self._thumbnails:
            thumbnail.hide()
            thumbnail.deleteLater()
        self._pictures = tuple(pictures)
        self._thumbnails = [self._make(index, picture) for index, picture in enumerate(pictures)]
        self.setVisible(bool(pictures))

    def size_for(self, width: int) -> QSize:
        """Place the thumbnails in this width and return the room that they take."""
        per_row = columns_in(width)
        for index, thumbnail in enumerate(self._thumbnails):
            row, column = divmod(index, per_row)
            thumbnail.move(column * (THUMBNAIL.width() + GAP), row * (THUMBNAIL.height() + GAP))
        shown = min(len(self._thumbnails), per_row)
        return QSize(max(shown * (THUMBNAIL.width() + GAP) - GAP, 0), height_of(len(self._thumbnails), width))

    def _make(self, index: int, picture: AttachedPicture) -> PictureThumbnail:
        thumbnail = PictureThumbnail(self._theme, THUMBNAIL, self)
        thumbnail.show_picture(picture.thumbnail, picture.alt_text)
        thumbnail.clicked.connect(lambda: self.opened.emit(index))
        thumbnail.show()
        return thumbnail


def columns_in(width: int) -> int:
    """Return how many thumbnails stand side by side in a width."""
    return max((width + GAP) // (THUMBNAIL.width() + GAP), 1)


def height_of(count: int, width: int) -> int:
    """Return how tall a strip of so many pictures is in a width."""
    rows = -(-count // columns_in(width))
    return max(rows * (THUMBNAIL.height() + GAP) - GAP, 0)
