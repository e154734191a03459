"""Choose the adapters that a chat's answers are written with, and how strongly each counts."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QVBoxLayout, QWidget

from app.chat.adapter_row import AdapterRow
from app.widgets.buttons import Button
from app.widgets.labels import Label
from engine.library.adapter_card import AdapterCard
from engine.protocol import Adapter


class AdapterList(QWidget):
    """Show the adapters of a chat one below the other, and a menu that adds one."""

    changed = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make a list without adapters."""
        super().__init__(parent)
        self._chosen: tuple[Adapter, ...] = ()
        self._cards: Sequence[AdapterCard] | None = None
        self._rows: list[AdapterRow] = []
        self._add = Button(self.tr("Add adapter…"), "value")
        self._add.setMenu(QMenu(self))
        self._add.setToolTip(self.tr("What fine-tuning runs have taught this model"))
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, -4, 0)
        head.addWidget(Label(self.tr("Adapters"), "muted"))
        head.addStretch()
        head.addWidget(self._add)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(8)
        self._layout.addLayout(head)
        self._show()

    def set_choices(self, cards: Sequence[AdapterCard] | None) -> None:
        """Offer the adapters that fit the loaded model; None where that is not known."""
        self._cards = cards
        self._show()

    def set_chosen(self, adapters: Sequence[Adapter]) -> None:
        """Show the adapters of this chat."""
        if [adapter.path for adapter in adapters] != [adapter.path for adapter in self._chosen]:
            self._drop_rows()
        self._chosen = tuple(adapters)
        self._show()

    def _choose(self, adapters: Sequence[Adapter]) -> None:
        self.set_chosen(adapters)
        self.changed.emit(self._chosen)

    def _add_adapter(self, path: str) -> None:
        self._choose((*self._chosen, Adapter(path)))

    def _remove(self, path: str) -> None:
        self._choose([adapter for adapter in self._chosen if adapter.path != path])

    def _set_scale(self, path: str, scale: float) -> None:
        self._choose([replace(one, scale=scale) if one.path == path else one for one in self._chosen])

    def _show(self) -> None:
        if not self._rows:
            self._make_rows()
        for row, adapter in zip(self._rows, self._chosen, strict=True):
            row.set_name(self._name(adapter.path), self._explanation(adapter.path))
            row.set_scale(adapter.scale)
        self._fill_menu()

    def _make_rows(self) -> None:
        for adapter in self._chosen:
            row = AdapterRow(self._name(adapter.path), adapter.scale)
            row.scale_changed.connect(partial(self._set_scale, adapter.path))
            row.removed.connect(partial(self._remove, adapter.path))
            self._layout.addWidget(row)
            row.show()
            self._rows.append(row)

    def _drop_rows(self) -> None:
        for row in self._rows:
            row.hide()
            row.deleteLater()
        self._rows = []

    def _fill_menu(self) -> None:
        menu = self._add.menu()
        menu.clear()
        used = {adapter.path for adapter in self._chosen}
        sees = any(card.companion is not None and str(card.path) in used for card in self._cards or ())
        for card in self._cards or ():
            if str(card.path) not in used:
                name = card.name.replace("&", "&&")
                second = sees and card.companion is not None
                text = self.tr("{0} (one with pictures is in use)").format(name) if second else name
                action = menu.addAction(text, partial(self._add_adapter, str(card.path)))
                action.setEnabled(not second)
        if menu.isEmpty():
            nothing = self.tr("No other adapter fits this model") if used else self.tr("No adapter fits this model")
            menu.addAction(nothing).setEnabled(False)

    def _name(self, path: str) -> str:
        card = self._card(path)
        name = card.name if card else Path(path).stem
        return name if card or self._cards is None else self.tr("{0} (does not fit)").format(name)

    def _explanation(self, path: str) -> str:
        card = self._card(path)
        return self.tr("{0}, trained on {1}").format(card.name, card.base) if card is not None and card.base else path

    def _card(self, path: str) -> AdapterCard | None:
        return next((card for card in self._cards or () if str(card.path) == path), None)
