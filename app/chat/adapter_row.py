"""Choose the adapter that a chat's answers are written with, and how strongly it counts."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.widgets.bars import LabelledSlider
from app.widgets.buttons import MenuButton
from app.widgets.labels import Label
from engine.library.adapter_card import AdapterCard

STRONGEST = 2.0
LONGEST_NAME = 22


class AdapterRow(QWidget):
    """Show the name of the adapter and, where there is one, a slider for its strength."""

    changed = Signal(str, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make a row without an adapter."""
        super().__init__(parent)
        self._path, self._scale = "", 1.0
        self._cards: Sequence[AdapterCard] | None = None
        self._button = MenuButton("", "value")
        self._button.setAccessibleName(self.tr("Adapter"))
        self._strength = LabelledSlider(self.tr("Strength"), 0.0, STRONGEST, 0.05)
        self._strength.value_changed.connect(lambda scale: self._choose(self._path, scale))
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, -4, 0)
        row.addWidget(Label(self.tr("Adapter"), "muted"))
        row.addStretch()
        row.addWidget(self._button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(row)
        layout.addWidget(self._strength)
        self._show()

    def set_choices(self, cards: Sequence[AdapterCard] | None) -> None:
        """Offer the adapters that fit the loaded model; None where that is not known."""
        self._cards = cards
        self._show()

    def set_chosen(self, path: str, scale: float) -> None:
        """Show the adapter of this chat; an empty path is none."""
        self._path, self._scale = path, scale
        self._show()

    def _choose(self, path: str, scale: float) -> None:
        self.set_chosen(path, scale)
        self.changed.emit(path, scale)

    def _show(self) -> None:
        chosen = bool(self._path)
        self._button.set_label(self._name())
        self._button.setToolTip(self._explanation())
        self._strength.setVisible(chosen)
        self._strength.set_value(self._scale)
        menu = self._button.menu()
        menu.clear()
        menu.addAction(self.tr("none"), partial(self._choose, "", 1.0))
        for card in self._cards or ():
            scale = self._scale if str(card.path) == self._path else 1.0
            action = menu.addAction(card.name.replace("&", "&&"), partial(self._choose, str(card.path), scale))
            action.setToolTip(self.tr("Trained on {0}").format(card.base) if card.base else "")
        if not self._cards:
            menu.addAction(self.tr("No adapter fits this model")).setEnabled(False)

    def _name(self) -> str:
        if not self._path:
            return self.tr("none")
        card = self._card()
        name = card.name if card else Path(self._path).stem
        name = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
        return name if card or self._cards is None else self.tr("{0} (does not fit)").format(name)

    def _explanation(self) -> str:
        card = self._card()
        if card is not None and card.base:
            return self.tr("{0}, trained on {1}").format(card.name, card.base)
        return self.tr("What a fine-tuning run has taught this model")

    def _card(self) -> AdapterCard | None:
        return next((card for card in self._cards or () if str(card.path) == self._path), None)
