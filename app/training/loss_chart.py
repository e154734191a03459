"""Draw the loss of a run over its steps: training and validation; the pointer or the arrow keys show values."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.theme import Theme

HEIGHT = 200
LEFT, RIGHT, TOP, BOTTOM = 56, 44, 10, 26
LEAST_SPAN = 0.05
MARKER = 3.0

Points = Sequence[tuple[float, float]]


class LossChart(QWidget):
    """Show two lines on plain ground."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make an empty chart."""
        super().__init__(parent)
        self._theme = theme
        self._training: list[tuple[float, float]] = []
        self._validation: list[tuple[float, float]] = []
        self._steps = 1
        self._shown_step: int | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(self.tr("Loss"))
        theme.changed.connect(self.update)

    def set_losses(self, training: Mapping[int, float], validation: Mapping[int, float], steps: int) -> None:
        """Show other values; `steps` is the length of the whole run."""
        self._training = [(float(step), training[step]) for step in sorted(training)]
        self._validation = [(float(step), validation[step]) for step in sorted(validation)]
        self._steps = max(steps, *(int(step) for step, _ in [*self._training, *self._validation]), 1)
        self.setAccessibleDescription(self._description())
        self.update()

    def values_at(self, step: int) -> tuple[float | None, float | None]:
        """Return training and validation loss at a step, of validation the last one measured up to there."""
        at = bisect_left(self._training, (step, float("-inf")))
        training = self._training[at][1] if at < len(self._training) and self._training[at][0] == step else None
        measured = [loss for measured_at, loss in self._validation if measured_at <= step]
        return training, measured[-1] if measured else None

    def shown_words(self) -> str:
        """Return what is written beside the line under the pointer; empty without one."""
        if self._shown_step is None:
            return ""
        training, validation = self.values_at(self._shown_step)
        words = [self.tr("step {}").format(self._shown_step)]
        if training is not None:
            words.append(self.tr("training {:.2f}").format(training))
        if validation is not None:
            words.append(self.tr("validation {:.2f}").format(validation))
        return " · ".join(words)

    def sizeHint(self) -> QSize:
        """Be as wide as there is room."""
        return QSize(400, self._theme.pixels(HEIGHT))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw axes, lines, the last values and those under the pointer."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._theme.font(12))
        self._draw_axes(painter)
        if self._training or self._validation:
            self._draw_line(painter, _smoothed(self._training, self._plot().width()), self._theme.colors.accent)
            self._draw_line(painter, self._validation, self._theme.colors.warning)
            self._draw_legend(painter)
            self._draw_shown(painter)
        if self.hasFocus():
            painter.setPen(QColor(self._theme.colors.accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Show the values at the pointer."""
        plot = self._plot()
        share = (event.position().x() - plot.left()) / max(plot.width(), 1)
        self._show_step(round(share * self._steps) if -0.02 <= share <= 1.02 else None)

    def leaveEvent(self, event: QEvent) -> None:
        """Show no values."""
        super().leaveEvent(event)
        self._show_step(None)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Show no values."""
        super().focusOutEvent(event)
        self._show_step(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go through the steps with the arrow keys."""
        move = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if move is None or not self._training:
            super().keyPressEvent(event)
            return
        last = int(self._training[-1][0])
        stride = max(last // 50, 1)
        start = last if self._shown_step is None else self._shown_step + move * stride
        self._show_step(min(max(start, 1), last))
        self.setAccessibleDescription(self.shown_words())

    def _show_step(self, step: int | None) -> None:
        last = int(max((points[-1][0] for points in (self._training, self._validation) if points), default=0))
        self._shown_step = None if step is None else min(max(step, 0), last)
        self.update()

    def _description(self) -> str:
        if not self._training:
            return self.tr("No steps yet.")
        (_, first), (step, last) = self._training[0], self._training[-1]
        words = self.tr("Training loss {:.2f} at step {}, {:.2f} at the first.").format(last, int(step), first)
        if self._validation:
            words += " " + self.tr("Validation loss {:.2f}.").format(self._validation[-1][1])
        return words

    def _plot(self) -> QRectF:
        return QRectF(LEFT, TOP, max(self.width() - LEFT - RIGHT, 1), max(self.height() - TOP - BOTTOM, 1))

    def _span(self) -> tuple[float, float]:
        """Return the lowest and highest value of the axis."""
        values = [loss for _, loss in [*_smoothed(self._training, self._plot().width()), *self._validation]]
        lowest, highest = min(values, default=0.0), max(values, default=1.0)
        room = max((highest - lowest) * 0.12, LEAST_SPAN)
        return max(lowest - 2 * room, 0.0), highest + room

    def _place(self, point: tuple[float, float], span: tuple[float, float]) -> QPointF:
        plot = self._plot()
        x = plot.left() + plot.width() * point[0] / self._steps
        return QPointF(x, plot.bottom() - plot.height() * (point[1] - span[0]) / (span[1] - span[0]))

    def _draw_axes(self, painter: QPainter) -> None:
        colors, plot = self._theme.colors, self._plot()
        painter.setPen(QColor(colors.line))
        painter.drawLine(plot.topLeft(), plot.bottomLeft())
        painter.drawLine(plot.bottomLeft(), plot.bottomRight())
        middle = QPen(QColor(colors.line), 1, Qt.PenStyle.DashLine)
        painter.setPen(middle)
        painter.drawLine(QPointF(plot.left(), plot.center().y()), QPointF(plot.right(), plot.center().y()))
        painter.setPen(QColor(colors.muted))
        painter.drawText(QPointF(plot.left() + 6, plot.top() + 12), self.tr("loss"))
        if not (self._training or self._validation):
            return
        low, high = self._span()
        for value in (low, (low + high) / 2):
            y = self._place((0, value), (low, high)).y()
            box = QRectF(0, y - 10, plot.left() - 8, 20)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), f"{value:.2f}")
        if self._shown_step is not None:
            return
        end = QRectF(plot.right() - 120, plot.bottom() + 4, 120, 20)
        painter.drawText(end, int(Qt.AlignmentFlag.AlignRight), self.tr("step {}").format(self._steps))

    def _draw_line(self, painter: QPainter, points: Points, color: str) -> None:
        span = self._span()
        painter.setPen(
            QPen(QColor(color), 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
        )
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF([self._place(point, span) for point in points]))
        if len(points) == 1:
            painter.setBrush(QColor(color))
            painter.drawEllipse(self._place(points[0], span), MARKER, MARKER)

    def _draw_legend(self, painter: QPainter) -> None:
        """Write the last values where the falling lines leave room."""
        colors, plot = self._theme.colors, self._plot()
        lines = []
        if self._training:
            lines.append((self.tr("training {:.2f}").format(self._training[-1][1]), colors.accent_text))
        if self._validation:
            lines.append((self.tr("validation {:.2f}").format(self._validation[-1][1]), colors.warning_text))
        x = plot.left() + plot.width() * 0.66
        for number, (words, color) in enumerate(lines):
            room = painter.fontMetrics().boundingRect(words).adjusted(-4, -2, 4, 2)
            painter.fillRect(room.translated(round(x), round(plot.top() + 12 + number * self._theme.pixels(20))),
                             QColor(colors.panel))  # fmt: skip
            painter.setPen(QColor(color))
            painter.drawText(QPointF(x, plot.top() + 12 + number * self._theme.pixels(20)), words)

    def _draw_shown(self, painter: QPainter) -> None:
        if self._shown_step is None:
            return
        colors, plot, span = self._theme.colors, self._plot(), self._span()
        training, validation = self.values_at(self._shown_step)
        x = self._place((self._shown_step, span[0]), span).x()
        painter.setPen(QColor(colors.line_strong))
        painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
        painter.setPen(Qt.PenStyle.NoPen)
        for loss, color in ((training, colors.accent), (validation, colors.warning)):
            if loss is not None:
                painter.setBrush(QColor(color))
                painter.drawEllipse(self._place((self._shown_step, min(loss, span[1])), span), MARKER, MARKER)
        words = self.shown_words()
        width = painter.fontMetrics().horizontalAdvance(words) + 4
        left = min(max(x - width / 2, plot.left()), self.width() - width)
        painter.setPen(QColor(colors.text))
        painter.drawText(QRectF(left, plot.bottom() + 4, width, 20), int(Qt.AlignmentFlag.AlignCenter), words)


def _smoothed(points: Points, width: float) -> Points:
    """Average neighbours where there are many: single steps are noisy, and a line has no more points than pixels."""
    size = max(len(points) // 60, round(len(points) / max(width / 3, 1)), 1)
    if size == 1:
        return points
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]
