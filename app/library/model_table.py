"""Show the models of this computer, one row each.

Signals: `chat_requested(ModelEntry)`, `rename_requested(ModelEntry)`, `show_in_folder_requested(ModelEntry)`,
`delete_requested(ModelEntry)`, `repair_requested(ModelEntry)`, `verify_requested(ModelEntry)`,
`figures_requested(ModelEntry)`.
"""

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QMenu, QSizePolicy, QVBoxLayout, QWidget

from app.library.model_list import ModelEntry
from app.library.wording import context_text, fault_text, memory_text, parameters_text, size_text, speed_text
from app.widgets.buttons import Button
from app.widgets.labels import Badge, ElidedLabel, Label, LabelKind
from app.widgets.surfaces import Hairline

NAME, SIZE, FITS, SPEED, FIDELITY, ACTIONS = range(6)
COLUMN_STRETCH = {NAME: 9, SIZE: 3, FITS: 4, SPEED: 4, FIDELITY: 9}
COLUMN_SPACING = 16
CELL_MARGIN = 8


class ModelTable(QWidget):
    """Lay out names, figures and actions in columns."""

    chat_requested = Signal(ModelEntry)
    rename_requested = Signal(ModelEntry)
    show_in_folder_requested = Signal(ModelEntry)
    delete_requested = Signal(ModelEntry)
    repair_requested = Signal(ModelEntry)
    verify_requested = Signal(ModelEntry)
    figures_requested = Signal(ModelEntry)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty table."""
        super().__init__(parent)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._content = QWidget()
        self._layout.addWidget(self._content)

    def show_entries(self, entries: list[ModelEntry]) -> None:
        """Show other rows."""
        self._layout.removeWidget(self._content)
        self._content.hide()
        self._content.deleteLater()
        self._content = QWidget()
        grid = QGridLayout(self._content)
        grid.setContentsMargins(0, CELL_MARGIN, 0, 0)
        grid.setHorizontalSpacing(COLUMN_SPACING)
        grid.setVerticalSpacing(CELL_MARGIN + 1)
        for column, stretch in COLUMN_STRETCH.items():
            grid.setColumnStretch(column, stretch)
        titles = {
            NAME: self.tr("Model"),
            SIZE: self.tr("Size"),
            FITS: self.tr("Fits"),
            SPEED: self.tr("Speed here"),
            FIDELITY: self.tr("Fidelity"),
        }
        for column, title in titles.items():
            label = Label(title, "small")
            label.setContentsMargins(CELL_MARGIN if column == NAME else 0, 0, 0, 0)
            grid.addWidget(label, 0, column)
        for number, entry in enumerate(entries, start=1):
            grid.addWidget(Hairline(), 2 * number - 1, 0, 1, ACTIONS + 1)
            self._add_row(grid, 2 * number, entry)
        grid.addWidget(Hairline(), 2 * len(entries) + 1, 0, 1, ACTIONS + 1)
        self._layout.addWidget(self._content)
        self._content.show()

    def _add_row(self, grid: QGridLayout, row: int, entry: ModelEntry) -> None:
        usable = entry.card.problem is None
        grid.addWidget(self._name_cell(entry), row, NAME, 1, 1 if usable else len(COLUMN_STRETCH))
        if usable:
            fits, kind = self._fit_text(entry)
            grid.addWidget(Label(size_text(entry.card.size_bytes)), row, SIZE)
            fit = Label(fits, kind)
            fit.setToolTip(self.tr("Memory needed with a conversation of 4,096 tokens, estimated from the file."))
            grid.addWidget(fit, row, FITS)
            speed = Label("–" if entry.tokens_per_second is None else speed_text(entry.tokens_per_second))
            speed.setToolTip(self.tr("Measured in the last chat with this model on this computer."))
            grid.addWidget(speed, row, SPEED)
            grid.addWidget(self._fidelity_cell(entry), row, FIDELITY)
        grid.addWidget(self._actions_cell(entry), row, ACTIONS)

    def _name_cell(self, entry: ModelEntry) -> QWidget:
        cell = QWidget()
        name = ElidedLabel(entry.title, "heading")
        name.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        first_line = QHBoxLayout()
        first_line.setSpacing(6)
        first_line.addWidget(name)
        if entry.card.has_vision:
            badge = Badge(self.tr("vision"), "accent")
            badge.setToolTip(self.tr("You can show it pictures."))
            first_line.addWidget(badge)
        if entry.card.built_in:
            first_line.addWidget(Label(self.tr("built in"), "small"))
        first_line.addStretch()
        problem = entry.card.problem
        details = ElidedLabel(problem or self._details(entry), "small" if problem is None else "bad")
        layout = QVBoxLayout(cell)
        layout.setContentsMargins(CELL_MARGIN, 0, 0, 0)
        layout.setSpacing(1)
        layout.addLayout(first_line)
        layout.addWidget(details)
        return cell

    def _details(self, entry: ModelEntry) -> str:
        if entry.is_starter:
            return self.tr("{}, makes mistakes").format(parameters_text(entry.card.parameters))
        card = entry.card
        known = [card.quantization, context_text(card.context_train) if card.context_train else ""]
        if card.reference is not None:
            known.append(self.tr("used in place"))
        return " · ".join(part for part in known if part)

    def _fit_text(self, entry: ModelEntry) -> tuple[str, LabelKind]:
        need = memory_text(entry.card.memory_bytes)
        if entry.fit == "yes":
            return self.tr("yes, {}").format(need), "good"
        if entry.fit == "tight":
            return self.tr("tight, {}").format(need), "warning"
        return self.tr("needs {}").format(need), "bad"

    def _fidelity_cell(self, entry: ModelEntry) -> QWidget:
        """Show what is wrong with a file before what was measured on it."""
        cell = QWidget()
        layout = QHBoxLayout(cell)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        card = entry.card
        if card.faults:
            words = ElidedLabel(fault_text(card.faults[0].code), "warning")
            words.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
            words.setToolTip("\n".join(fault.message for fault in card.faults))
            layout.addWidget(words)
            if any(fault.repairable for fault in card.faults):
                layout.addWidget(Label("·", "muted"))
                self._add_text_button(layout, self.tr("Repair"), entry, self.repair_requested)
        elif card.verification is not None:
            text = self.tr("verified") if card.verification.verified else self.tr("differs")
            badge = Button(text, "good-badge" if card.verification.verified else "bad-badge")
            badge.setAccessibleName(self.tr("{}: {}, show the figures").format(entry.title, text))
            badge.clicked.connect(lambda: self.figures_requested.emit(entry))
            layout.addWidget(badge)
        elif card.faithful_context:
            label = ElidedLabel(self.tr("approximate beyond {:,} tokens").format(card.faithful_context), "small")
            layout.addWidget(label)
        else:
            layout.addWidget(Label("–", "muted"))
        layout.addStretch()
        return cell

    def _add_text_button(self, layout: QHBoxLayout, text: str, entry: ModelEntry, asked: SignalInstance) -> None:
        button = Button(text, "text")
        button.setAccessibleName(f"{text}: {entry.title}")
        button.clicked.connect(lambda: asked.emit(entry))
        layout.addWidget(button)

    def _actions_cell(self, entry: ModelEntry) -> QWidget:
        cell = QWidget()
        layout = QHBoxLayout(cell)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addStretch()
        usable = entry.card.problem is None
        if usable and entry.fit != "no":
            chat = Button(self.tr("Chat"), "text")
            chat.setAccessibleName(self.tr("Chat with {}").format(entry.title))
            chat.clicked.connect(lambda: self.chat_requested.emit(entry))
            layout.addWidget(chat)
            layout.addWidget(Label("·", "muted"))
        more = Button("⋯", "text")
        more.setAccessibleName(self.tr("More about {}").format(entry.title))
        more.setMenu(self._menu(entry, more))
        layout.addWidget(more, alignment=Qt.AlignmentFlag.AlignRight)
        return cell

    def _menu(self, entry: ModelEntry, parent: QWidget) -> QMenu:
        menu = QMenu(parent)

        def add(text: str, act: Callable[[], None]) -> None:
            menu.addAction(text).triggered.connect(act)

        if entry.card.problem is None and entry.fit == "no":
            add(self.tr("Chat anyway"), lambda: self.chat_requested.emit(entry))
        if not entry.card.built_in:
            add(self.tr("Rename…"), lambda: self.rename_requested.emit(entry))
        if entry.card.problem is None and not entry.card.built_in:
            add(self.tr("Compare with its checkpoint…"), lambda: self.verify_requested.emit(entry))
        add(self.tr("Show in folder"), lambda: self.show_in_folder_requested.emit(entry))
        if not entry.card.built_in:
            text = self.tr("Remove from the list…") if entry.card.reference else self.tr("Delete…")
            menu.addSeparator()
            add(text, lambda: self.delete_requested.emit(entry))
        return menu
