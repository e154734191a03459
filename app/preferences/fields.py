"""Make the controls of settings: each shows a value and tells the one that a user sets.

field = whole_number("threads", special="Automatic")
field.widget                # to lay out
field.set_value(4)          # without telling
field.changed               # Signal(object): the user has set this value
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QComboBox, QLineEdit, QWidget

from app.settings import limits_of

WIDTH_IN_LETTERS = 20

Item = TypeVar("Item", str, int, float)


class Field(QObject):
    """Be one control, whatever it is made of."""

    changed = Signal(object)

    def __init__(self, widget: QWidget, show: Callable[[Any], object]) -> None:
        """Wrap a control; `show` sets its value."""
        super().__init__(widget)
        self.widget = widget
        self._show = show
        self._fit_width()
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(self)

    def set_value(self, value: object) -> None:
        """Show a value without telling."""
        blocked = self.widget.blockSignals(True)
        self._show(value)
        self.widget.blockSignals(blocked)

    def set_items(self, items: Mapping[str, str]) -> None:
        """Offer other items; only for a choice."""
        box = self.widget
        assert isinstance(box, QComboBox)
        blocked = box.blockSignals(True)
        box.clear()
        for value, text in items.items():
            box.addItem(text, value)
        box.blockSignals(blocked)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leave the wheel to the page that scrolls, so that passing over a control never changes it."""
        if event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        if event.type() == QEvent.Type.FontChange:
            self._fit_width()
        return False

    def _fit_width(self) -> None:
        """Be as wide as all fields, at any size of text."""
        self.widget.setFixedWidth(self.widget.fontMetrics().averageCharWidth() * WIDTH_IN_LETTERS)


def choice(items: Mapping[Item, str], label: Callable[[Item], str] = str) -> Field:
    """Make a list to choose from: value and what is shown for it; `label` names other values that are set."""
    box = QComboBox()
    for value, text in items.items():
        box.addItem(text, value)

    def show(value: Any) -> None:
        if box.findData(value) < 0:
            box.addItem(label(value), value)
        box.setCurrentIndex(box.findData(value))

    field = Field(box, show)
    box.activated.connect(lambda index: field.changed.emit(box.itemData(index)))
    return field


def number(setting: str, special: str = "") -> Field:
    """Make a field for a number within the limits of a setting; empty it is the smallest, which `special` names."""
    box = QLineEdit()
    box.setPlaceholderText(special)
    limits = limits_of(setting)
    assert limits.minimum is not None
    assert limits.maximum is not None
    minimum, maximum = limits.minimum, limits.maximum
    shown = minimum

    def show(value: float) -> None:
        nonlocal shown
        shown = value
        box.setText("" if special and value == minimum else f"{value:.10g}")

    def take() -> None:
        text = box.text().strip().replace(",", ".")
        try:
            value = type(minimum)(text) if text or not special else minimum
        except ValueError:
            value = shown
        value = shown if math.isnan(value) else min(max(value, minimum), maximum)
        changed = value != shown
        show(value)
        if changed:
            field.changed.emit(value)

    field = Field(box, show)
    box.editingFinished.connect(take)
    return field
