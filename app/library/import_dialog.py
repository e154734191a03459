"""Ask how something is to be imported: its name, and how large and exact the model shall be."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from app.library.model_list import fit_of
from app.library.quantizations import explanation
from app.library.wording import memory_text, size_text
from app.widgets.buttons import Button
from app.widgets.labels import ElidedLabel, Label, LabelKind, WrappedLabel
from engine.library.folders import DEFAULT_QUANTIZATION, file_name_for

if TYPE_CHECKING:  # it brings numpy, which the window does not wait for at its start
    from app.library.import_source import Estimate, ImportSource

Way = Literal["in place", "copy", "convert"]
WIDTH = 620


@dataclass(frozen=True)
class ImportChoice:
    """Hold what the user chose; `out` is the file to write, which is not there yet (None when used in place)."""

    way: Way
    name: str
    quantization: str | None
    out: Path | None


@dataclass(frozen=True)
class _Option:
    way: Way
    quantization: str | None
    title: str
    why: str
    estimate: "Estimate"


class ImportDialog(QDialog):
    """Offer a sensible default, each alternative with a line on what it means."""

    def __init__(self, source: "ImportSource", folder: Path, parent: QWidget | None = None) -> None:
        """Ask about `source`, which would go to `folder`."""
        super().__init__(parent)
        self._source = source
        self._folder = folder
        self._options = self._make_options()
        self.setWindowTitle(self.tr("Import"))
        self.setMinimumWidth(WIDTH)
        self._name = QLineEdit(source.name)
        self._name.setMaxLength(100)
        self._name.setAccessibleName(self.tr("Name"))
        self._name.textChanged.connect(self._check)
        self._group = QButtonGroup(self)
        self._problem = WrappedLabel("", "bad")
        self._import = Button(self.tr("Import"), "primary")
        self._import.setDefault(True)
        self._import.clicked.connect(self.accept)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 20, 24, 20)
        layout.setSpacing(16)
        layout.addWidget(ElidedLabel(self.tr("Import {}").format(source.path.name), "title"))
        layout.addWidget(self._name)
        layout.addLayout(self._option_rows())
        layout.addWidget(self._problem)
        layout.addStretch()
        layout.addLayout(self._buttons())
        self._group.idToggled.connect(self._check)
        self._check()

    def choice(self) -> ImportChoice:
        """Return what is chosen now."""
        option = self._options[self._group.checkedId()]
        name = self._name.text().strip() or self._source.name
        if option.way == "in place":
            return ImportChoice("in place", name, None, None)
        out = self._folder / file_name_for(self._source.path, name, option.quantization)
        return ImportChoice(option.way, name, option.quantization, out)

    def select(self, title: str) -> None:
        """Choose the option with a title."""
        number = next(number for number, option in enumerate(self._options) if option.title == title)
        self._group.button(number).setChecked(True)

    def _make_options(self) -> list[_Option]:
        options = []
        for quantization, estimate in self._source.estimates.items():
            if quantization:
                title, why = quantization.upper(), explanation(quantization)
                options.append(_Option("convert", quantization, title, why, estimate))
            else:
                keep = self.tr("The file stays where it is and must not be moved.")
                copy = self.tr("A copy goes into the models folder.")
                options.append(_Option("in place", None, self.tr("Use in place"), keep, estimate))
                options.append(_Option("copy", None, self.tr("Copy"), copy, estimate))
        return options

    def _option_rows(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(10)
        grid.setColumnStretch(1, 1)
        memory = psutil.virtual_memory()
        default = DEFAULT_QUANTIZATION if self._source.kind == "checkpoint" else None
        for row, option in enumerate(self._options):
            button = QRadioButton(option.title)
            button.setAccessibleDescription(option.why)
            self._group.addButton(button, row)
            if not self._group.checkedButton() and option.quantization == default:
                button.setChecked(True)
            why = Label(option.why, "small")
            size = Label(self._size_text(option), "small")
            size.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            fits, kind = self._fit_text(option.estimate.memory_bytes, memory)
            for column, widget in enumerate((button, why, size, Label(fits, kind))):
                grid.addWidget(widget, row, column)
        return grid

    def _size_text(self, option: _Option) -> str:
        size = size_text(option.estimate.size_bytes)
        return self.tr("about {}").format(size) if option.way == "convert" else size

    def _fit_text(self, need: int, memory: "psutil._common.svmem") -> tuple[str, LabelKind]:
        fit = fit_of(need, memory.available, memory.total)
        if fit == "yes":
            return self.tr("Fits in memory"), "good"
        if fit == "tight":
            return self.tr("Tight in memory"), "warning"
        return self.tr("Needs {}").format(memory_text(need)), "bad"

    def _buttons(self) -> QHBoxLayout:
        cancel = Button(self.tr("Cancel"))
        cancel.clicked.connect(self.reject)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch()
        row.addWidget(cancel)
        row.addWidget(self._import)
        return row

    def _check(self, *_: object) -> None:
        """Say at once why a choice is not possible."""
        problem = self._problem_of(self.choice())
        self._problem.setText(problem)
        self._problem.setVisible(bool(problem))
        self._import.setEnabled(not problem)

    def _problem_of(self, choice: ImportChoice) -> str:
        if choice.out is None:
            return ""
        if choice.out.exists():
            return self.tr("There is already a model of this name: {}. Choose another name.").format(choice.out.name)
        need = self._options[self._group.checkedId()].estimate.size_bytes
        free = _free_bytes(self._folder)
        if free < need:
            sizes = size_text(need), size_text(free)
            return self.tr("This needs {} on the disk, where {} are free.").format(*sizes)
        return ""


def _free_bytes(folder: Path) -> int:
    """Return the free space where `folder` is or will be."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(there).free
