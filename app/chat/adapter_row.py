"""Show one adapter of a chat: its name, how strongly it counts, and a way to take it out."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.widgets.bars import LabelledSlider
from app.widgets.buttons import Button

STRONGEST = 2.0


class AdapterRow(QWidget):
    """Be the slider of an adapter that is in use."""

    scale_changed = Signal(float)
    removed = Signal()

    def __init__(self, name: str, scale: float, parent: QWidget | None = None) -> None:
        """Show an adapter with its strength."""
        super().__init__(parent)
        self._remove = Button("×", "small-text")
        self._remove.setToolTip(self.tr("Remove"))
        self._remove.clicked.connect(self.removed)
        self._slider = LabelledSlider(name, 0.0, STRONGEST, 0.05, trailing=self._remove)
        self._slider.value_changed.connect(self.scale_changed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        self.set_name(name)
        self.set_scale(scale)

    def set_name(self, name: str, explanation: str = "") -> None:
        """Show another name, with a tool tip."""
        self._slider.set_name(name, self.tr("Strength of {0}").format(name))
        self._remove.setAccessibleName(self.tr("Remove {0}").format(name))
        self.setToolTip(explanation)

    def set_scale(self, scale: float) -> None:
        """Show another strength."""
        self._slider.set_value(scale)
