"""Show and set amounts on thin bars.

ThinProgress("Import")          # .set_fraction(0.5); .set_fraction(None) shows that it is under way
bar.set_tone("warning")         # tones: accent warning bad
LabelledSlider("Temperature", 0.0, 2.0, 0.05)   # .value(), .set_value(0.7), signal value_changed(float)
ValueRow("Runs on", "CPU, 8 threads")           # muted name left, value right; .set_value("...")
"""

from typing import Literal

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QEnterEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QSlider, QVBoxLayout, QWidget

from app.widgets.labels import ElidedLabel, Label
from app.widgets.style import restyle

BarTone = Literal["accent", "warning", "bad"]
PARTS = 1000
HANDLE = 5


class ThinProgress(QProgressBar):
    """Show a fraction as a line of four pixels."""

    def __init__(self, accessible_name: str, parent: QWidget | None = None) -> None:
        """Make an empty bar; the name is read by screen readers."""
        super().__init__(parent)
        self.setProperty("kind", "thin")
        self.setProperty("tone", "accent")
        self.setAccessibleName(accessible_name)
        self.setTextVisible(False)
        self.setFixedHeight(4)
        self.setRange(0, PARTS)

    def set_fraction(self, fraction: float | None) -> None:
        """Show how far it is, or with None that it is under way."""
        self.setRange(0, 0 if fraction is None else PARTS)
        if fraction is not None:
            self.setValue(round(min(max(fraction, 0.0), 1.0) * PARTS))

    def set_tone(self, tone: BarTone) -> None:
        """Change the colour of the filled part."""
        restyle(self, "tone", tone)


class _Slider(QSlider):
    """Draw the amount as a thin bar; the handle shows itself to who is about to move it."""

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw groove, amount and, under the mouse or with the focus, the handle."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        middle = self.height() / 2
        share = (self.value() - self.minimum()) / max(self.maximum() - self.minimum(), 1)
        painter.setBrush(self.palette().mid())
        painter.drawRoundedRect(QRectF(0, middle - 2, self.width(), 4), 2, 2)
        painter.setBrush(self.palette().accent())
        painter.drawRoundedRect(QRectF(0, middle - 2, self.width() * share, 4), 2, 2)
        if self.underMouse() or self.hasFocus():
            painter.drawEllipse(QPointF(HANDLE + (self.width() - 2 * HANDLE) * share, middle), HANDLE, HANDLE)

    def sizeHint(self) -> QSize:
        """Be tall enough for the handle."""
        return QSize(80, 2 * HANDLE + 4)

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the handle."""
        super().enterEvent(event)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Hide the handle."""
        super().leaveEvent(event)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the place that was clicked."""
        self._go_to(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the mouse."""
        self._go_to(event.position().x())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Pass the wheel on, so that scrolling past never changes a setting."""
        event.ignore()

    def _go_to(self, x: float) -> None:
        share = min(max((x - HANDLE) / max(self.width() - 2 * HANDLE, 1), 0.0), 1.0)
        self.setValue(self.minimum() + round(share * (self.maximum() - self.minimum())))


class LabelledSlider(QWidget):
    """Set a number between two limits: name and number above, a thin slider below."""

    value_changed = Signal(float)

    def __init__(
        self,
        name: str,
        minimum: float,
        maximum: float,
        step: float,
        decimals: int = 2,
        parent: QWidget | None = None,
        *,
        trailing: QWidget | None = None,
    ) -> None:
        """Make a slider that moves in steps and shows the number with up to `decimals` digits, `trailing` behind it."""
        super().__init__(parent)
        self._minimum = minimum
        self._step = step
        self._decimals = decimals
        self._name = ElidedLabel(name, "muted")
        self._number = Label()
        self._slider = _Slider(Qt.Orientation.Horizontal)
        self._slider.setAccessibleName(name)
        self._slider.setRange(0, round((maximum - minimum) / step))
        self._slider.valueChanged.connect(self._moved)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        head = _row(self._name, self._number)
        if trailing is not None:
            head.setContentsMargins(0, 0, -4, 0)
            head.addWidget(trailing)
        layout.addLayout(head)
        layout.addWidget(self._slider)
        self._show_number()

    def value(self) -> float:
        """Return the number."""
        return round(self._minimum + self._slider.value() * self._step, self._decimals)

    def set_value(self, value: float) -> None:
        """Set the number without emitting `value_changed`."""
        blocked = self._slider.blockSignals(True)
        self._slider.setValue(round((value - self._minimum) / self._step))
        self._slider.blockSignals(blocked)
        self._show_number()

    def set_name(self, name: str, accessible_name: str) -> None:
        """Show another name, and another one for screen readers."""
        self._name.setText(name)
        self._slider.setAccessibleName(accessible_name)

    def _moved(self) -> None:
        self._show_number()
        self.value_changed.emit(self.value())

    def _show_number(self) -> None:
        self._number.setText(f"{self.value():.{self._decimals}f}".rstrip("0").rstrip("."))


class ValueRow(QWidget):
    """Show a name and its value on one line."""

    def __init__(self, name: str, value: str = "", parent: QWidget | None = None) -> None:
        """Make a row; a long value is shortened."""
        super().__init__(parent)
        self._name = name
        self._value = ElidedLabel()
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight)
        layout = _row(Label(name, "muted"), self._value)
        layout.setContentsMargins(0, 0, 0, 0)
        self.setLayout(layout)
        self.set_value(value)

    def set_value(self, value: str, explanation: str = "") -> None:
        """Show another value, and an explanation as its tool tip."""
        self._value.setText(value)
        self.setToolTip(explanation)
        self.setAccessibleName(f"{self._name}: {value}")


def _row(left: QWidget, right: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.setSpacing(8)
    layout.addWidget(left)
    if not isinstance(left, ElidedLabel) and not isinstance(right, ElidedLabel):
        layout.addStretch()
    layout.addWidget(right)
    return layout
