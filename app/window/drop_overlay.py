"""Say over the whole window that what is being dragged may be dropped."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.theme import Theme
from app.widgets.labels import Label

MARGIN = 12
RADIUS = 14
OPACITY = 0.92


class DropOverlay(QWidget):
    """Cover the window during a drag; the drop itself is the window's."""

    def __init__(self, theme: Theme, window: QWidget) -> None:
        """Make a hidden overlay."""
        super().__init__(window)
        self._theme = theme
        self._window = window
        # What lies below stays the target, so that moving on is noticed.
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        title = Label(self.tr("Drop pictures here"), "title")
        words = Label(self.tr("They are attached to your message. PNG, JPEG, WebP, GIF, BMP and TIFF work."), "muted")
        self.setAccessibleName(title.text())
        layout = QVBoxLayout(self)
        layout.setSpacing(8)
        layout.addStretch()
        layout.addWidget(title, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(words, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch()
        self.hide()

    def cover(self) -> None:
        """Show it over everything."""
        self.setGeometry(self._window.rect())
        self.show()
        self.raise_()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Dim the window and draw the frame to drop into."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QColor(self._theme.colors.background)
        ground.setAlphaF(OPACITY)
        painter.fillRect(self.rect(), ground)
        painter.setPen(QPen(QColor(self._theme.colors.accent), 2, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(self.rect().adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN), RADIUS, RADIUS)
