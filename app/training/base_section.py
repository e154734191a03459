"""Choose the model that a run starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from app.widgets.buttons import Button
from app.widgets.labels import Label
from engine.library.folders import STARTER_NAME


@dataclass(frozen=True)
class BaseChoice:
    """Be one model that can be trained: what a job calls it, its title, and a line about it."""

    base: str
    title: str
    about: str


class BaseSection(QWidget):
    """Offer the Starter, former bases and results, and any checkpoint folder."""

    changed = Signal()

    def __init__(self, choices: Sequence[BaseChoice], parent: QWidget | None = None) -> None:
        """Propose the first choice."""
        super().__init__(parent)
        self._choices = list(choices)
        self._box = QComboBox()
        self._box.setAccessibleName(self.tr("Base"))
        for choice in choices:
            self._box.addItem(choice.title)
        self._about = Label("", "small")
        folder = Button(self.tr("Checkpoint folder…"))
        folder.clicked.connect(self._choose_folder)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._box, 1)
        row.addWidget(folder)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self._about)
        self._box.currentIndexChanged.connect(self._chosen)
        self._show_about()

    @property
    def choice(self) -> BaseChoice:
        """Return the chosen base."""
        return self._choices[self._box.currentIndex()]

    def choose_folder(self, folder: Path) -> None:
        """Choose a checkpoint folder."""
        known = next((number for number, each in enumerate(self._choices) if each.base == str(folder)), None)
        if known is None:
            self._choices.append(BaseChoice(str(folder), folder.name, str(folder)))
            self._box.addItem(folder.name)
        self._box.setCurrentIndex(len(self._choices) - 1 if known is None else known)

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Choose the folder with config.json"))
        if chosen:
            self.choose_folder(Path(chosen))

    def _chosen(self) -> None:
        self._show_about()
        self.changed.emit()

    def _show_about(self) -> None:
        self._about.setText(self.choice.about)


def starter_choice(title: str, about: str) -> BaseChoice:
    """Return the choice of the built-in model."""
    return BaseChoice(STARTER_NAME, title, about)
