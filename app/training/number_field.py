"""Take a number of a run within its limits."""

import math
from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from engine.training.settings import LIMITS

WIDTH_IN_LETTERS = 14


class NumberField(QLineEdit):
    """Show a number; emptied it returns to its default, which the placeholder names."""

    value_changed = Signal()

    def __init__(self, name: str, default: float, placeholder: str = "", parent: QWidget | None = None) -> None:
        """Make the field of the job's number `name`; its type is that of the default."""
        super().__init__(parent)
        self._limit = next(limit for limit in LIMITS if limit.name == name)
        self._default = default
        self._value = default
        self._read: Callable[[str], float] = type(default)
        self.setPlaceholderText(placeholder or f"{default:g}")
        self.setFixedWidth(self.fontMetrics().averageCharWidth() * WIDTH_IN_LETTERS)
        self.editingFinished.connect(self._take)

    @property
    def value(self) -> float:
        """Return the number, of the type that the job has it in."""
        return self._value

    def set_value(self, value: float) -> None:
        """Show a number."""
        self._value = value
        self.setText("" if value == self._default else f"{value:.10g}")

    def _take(self) -> None:
        text = self.text().strip().replace(",", ".")
        try:
            value = self._read(text) if text else self._default
        except ValueError:
            value = self._value
        if math.isnan(value) or (self._limit.above and value <= self._limit.lowest):
            value = self._value
        before, value = self._value, type(self._default)(min(max(value, self._limit.lowest), self._limit.highest))
        self.set_value(value)
        if value != before:
            self.value_changed.emit()
