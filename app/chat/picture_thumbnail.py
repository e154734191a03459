"""Show a picture small."""

from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QAbstractButton, QWidget

from app.theme import Theme

RADIUS = 8


class PictureThumbnail(QAbstractButton):
    """Fill a rounded rectangle with the middle of a picture; a click asks to see all of it."""

    def __init__(self, theme: Theme, size: QSize, parent: QWidget | None = None) -> None:
        """Make an empty thumbnail of a size."""
        super().__init__(parent)
        self._theme = theme
        self._pixmap = QPixmap()
        self._drawn = QPixmap()
        self.setFixedSize(size)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def show_picture(self, thumbnail: Path | None, alt_text: str) -> None:
        """Show the PNG that the intake wrote; without one an empty frame keeps the place."""
        self._pixmap = QPixmap(str(thumbnail)) if thumbnail is not None else QPixmap()
        self._drawn = QPixmap()
        self.set_alt_text(alt_text)
        self.update()

    def set_alt_text(self, alt_text: str) -> None:
        """Say in words what is to be seen."""
        self.setAccessibleName(self.tr("Picture: {0}").format(alt_text))
        self.setToolTip(alt_text)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the picture, its frame, and a ring when it has the focus."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = self._theme.colors
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        shape = QPainterPath()
        shape.addRoundedRect(frame, RADIUS, RADIUS)
        painter.fillPath(shape, QColor(colors.code))
        if not self._pixmap.isNull():
            painter.setClipPath(shape)
            painter.drawPixmap(0, 0, self._covering())
            painter.setClipping(False)
        focused = self.hasFocus()
        painter.setPen(QPen(QColor(colors.accent if focused else colors.line), 2 if focused else 1))
        painter.drawPath(shape)

    def _covering(self) -> QPixmap:
        """Return the picture scaled to cover the thumbnail, and cut to its middle."""
        ratio = self.devicePixelRatioF()
        wanted = self.size() * ratio
        if self._drawn.size() != wanted:
            scaled = self._pixmap.scaled(
                wanted, Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation
            )
            left, top = (scaled.width() - wanted.width()) // 2, (scaled.height() - wanted.height()) // 2
            self._drawn = scaled.copy(left, top, wanted.width(), wanted.height())
            self._drawn.setDevicePixelRatio(ratio)
        return self._drawn
