"""Offer the numbers of a run, folded until someone wants them."""

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QVBoxLayout, QWidget

from app.training.number_field import NumberField
from app.widgets.buttons import Button
from app.widgets.labels import Label
from engine.jobs.events import TrainJob
from engine.pictures.stored_picture import DETAIL_CROPS, Detail

DEFAULTS = TrainJob("", "")
ALPHA_PER_RANK = 2


class AdvancedSettings(QWidget):
    """Hold epochs, learning rate and what else decides how training goes."""

    # What data means to the model has changed: how long an example may be, or how long pictures are.
    reading_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make the fields with their defaults."""
        super().__init__(parent)
        self._fold = Button(self.tr("Advanced settings ▸"), "text")
        self._content = QWidget()
        self._fold.clicked.connect(lambda: self.set_open(self._content.isHidden()))
        self._fields: dict[str, NumberField] = {}
        self._precision = QComboBox()
        for value, text in self._precisions().items():
            self._precision.addItem(text, value)
        self._detail = QComboBox()
        for detail, text in self._details().items():
            self._detail.addItem(text, DETAIL_CROPS[detail])
        self._detail.setCurrentIndex(self._detail.findData(DEFAULTS.num_crops))
        grid = QGridLayout(self._content)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(2, 1)
        for row, (name, title, automatic, why) in enumerate(self._rows()):
            field = self._fields[name] = NumberField(name, getattr(DEFAULTS, name), automatic)
            field.setAccessibleName(title)
            for column, widget in enumerate((Label(title), field, Label(why, "small"))):
                grid.addWidget(widget, row, column)
        for title, choice in ((self.tr("Picture detail"), self._detail), (self.tr("Precision"), self._precision)):
            choice.setAccessibleName(title)
            row = grid.rowCount()
            grid.addWidget(Label(title), row, 0)
            grid.addWidget(choice, row, 1, 1, 2)
        self._fields["max_length"].value_changed.connect(self.reading_changed)
        self._detail.currentIndexChanged.connect(self.reading_changed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._fold, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self._content)
        self.set_open(False)

    @property
    def max_length(self) -> int:
        """Return the tokens beyond which a conversation is too long."""
        return int(self._fields["max_length"].value)

    @property
    def num_crops(self) -> int:
        """Return into how many crops a picture is cut at most."""
        return int(self._detail.currentData())

    def set_open(self, is_open: bool) -> None:
        """Show or fold the fields."""
        self._content.setVisible(is_open)
        self._fold.setText(self.tr("Advanced settings ▾") if is_open else self.tr("Advanced settings ▸"))

    def set_value(self, name: str, value: float) -> None:
        """Show another number."""
        self._fields[name].set_value(value)

    def values(self) -> dict[str, Any]:
        """Return what is set, by the names of the job."""
        values: dict[str, Any] = {name: field.value for name, field in self._fields.items()}
        alpha = float(ALPHA_PER_RANK * values["rank"])
        return values | {"alpha": alpha, "precision": self._precision.currentData(), "num_crops": self.num_crops}

    def _rows(self) -> list[tuple[str, str, str, str]]:
        automatic = self.tr("automatic")
        return [
            ("epochs", self.tr("Epochs"), "", self.tr("How often all data is read.")),
            ("learning_rate", self.tr("Learning rate"), automatic, self.tr("Larger learns faster and forgets more.")),
            ("rank", self.tr("Rank"), "", self.tr("How much an adapter can hold.")),
            ("upper_layers", self.tr("Layers"), self.tr("all"), self.tr("Only so many upper ones: faster.")),
            ("max_length", self.tr("Longest example"), "", self.tr("In tokens; longer ones are cut or left out.")),
            ("batch_size", self.tr("Batch"), "", self.tr("Examples per step; fewer take less memory.")),
            ("threads", self.tr("Threads"), automatic, self.tr("Processor cores that train.")),
            ("seed", self.tr("Seed"), "", self.tr("The same number gives the same run.")),
        ]

    def _details(self) -> dict[Detail, str]:
        return {
            "fast": self.tr("Fast: 4 crops a picture, up to 757 tokens"),
            "fine": self.tr("Fine: 16 crops a picture, up to 2,509 tokens"),
        }

    def _precisions(self) -> dict[str, str]:
        return {
            "auto": self.tr("Automatic: bfloat16 where it is faster"),
            "bfloat16": "bfloat16",
            "float32": "float32",
        }
