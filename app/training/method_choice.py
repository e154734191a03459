"""Choose how a run learns, of what its data allows."""

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QRadioButton, QWidget

from app.widgets.labels import Label

METHODS = ("lora", "dpo", "pretrain", "full")
LEARNS_FROM = {"lora": "conversation", "full": "conversation", "dpo": "preference", "pretrain": "text"}


class MethodChoice(QWidget):
    """Offer each method with a line on what it is."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Propose LoRA."""
        super().__init__(parent)
        self._group = QButtonGroup(self)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setColumnStretch(1, 1)
        for row, method in enumerate(METHODS):
            title, why = self._words()[method]
            button = QRadioButton(title)
            button.setAccessibleDescription(why)
            self._group.addButton(button, row)
            grid.addWidget(button, row, 0)
            grid.addWidget(Label(why, "small"), row, 1)
        self._group.button(0).setChecked(True)
        self._group.idToggled.connect(lambda _number, on: self.changed.emit() if on else None)

    @property
    def method(self) -> str:
        """Return the chosen method."""
        return METHODS[self._group.checkedId()]

    def choose(self, method: str) -> None:
        """Choose a method."""
        self._group.button(METHODS.index(method)).setChecked(True)

    def is_possible(self, method: str) -> bool:
        """Tell whether the data allows a method."""
        return self._group.button(METHODS.index(method)).isEnabled()

    def fit_to(self, kinds: Mapping[str, int]) -> None:
        """Offer what the data allows; if the chosen method is not among it, propose that of most examples."""
        for number, method in enumerate(METHODS):
            self._group.button(number).setEnabled(not kinds or kinds.get(LEARNS_FROM[method], 0) > 0)
        if kinds and not self.is_possible(self.method):
            most = max(kinds, key=lambda kind: kinds[kind])
            self.choose(next(method for method in METHODS if LEARNS_FROM[method] == most))

    def _words(self) -> dict[str, tuple[str, str]]:
        return {
            "lora": (self.tr("LoRA"), self.tr("Learns a small addition to the base. The right choice for most.")),
            "dpo": (self.tr("DPO"), self.tr("Learns from pairs of a better and a worse answer.")),
            "pretrain": (self.tr("Continued pre-training"), self.tr("Reads plain text on; changes the whole model.")),
            "full": (self.tr("Full"), self.tr("Changes every weight; needs many times the memory.")),
        }
