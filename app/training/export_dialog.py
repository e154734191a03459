"""Ask how a run's result becomes a model of the library: its name and its quantisation."""

from collections.abc import Sequence

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

from app.training.run import Run
from app.widgets.buttons import Button
from app.widgets.labels import Label, WrappedLabel

QUANTIZATIONS = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "bf16")
LONGEST_NAME = 100


class ExportDialog(QDialog):
    """Offer the usual quantisations, each with a line on what it means."""

    def __init__(self, run: Run, parent: QWidget | None = None) -> None:
        """Ask about the result of a run."""
        super().__init__(parent)
        self.setWindowTitle(self.tr("Export"))
        self.name = QLineEdit(f"{run.note.base} {run.note.title}".strip())
        self.name.setMaxLength(LONGEST_NAME)
        self.name.setAccessibleName(self.tr("Name of the model"))
        self._group = QButtonGroup(self)
        self._export = Button(self.tr("Export"), "primary")
        self._export.clicked.connect(self.accept)
        self.name.textChanged.connect(lambda text: self._export.setEnabled(bool(text.strip())))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 20, 24, 16)
        layout.setSpacing(14)
        layout.addWidget(Label(self.tr("Export {}").format(run.note.title), "title"))
        layout.addWidget(WrappedLabel(self._about(run), "muted"))
        layout.addWidget(self.name)
        layout.addLayout(self._rows(QUANTIZATIONS))
        layout.addLayout(self._foot())

    @property
    def quantization(self) -> str:
        """Return the chosen quantisation in lower case."""
        return QUANTIZATIONS[self._group.checkedId()]

    def choose(self, quantization: str) -> None:
        """Choose a quantisation."""
        self._group.button(QUANTIZATIONS.index(quantization)).setChecked(True)

    def _about(self, run: Run) -> str:
        if run.is_adapter:
            return self.tr(
                "What was learned is merged into the base, and the whole becomes a GGUF model of your library."
            )
        return self.tr("The trained checkpoint becomes a GGUF model of your library.")

    def _rows(self, quantizations: Sequence[str]) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setColumnStretch(1, 1)
        why = {
            "q8_0": self.tr("Practically the original, at half its size."),
            "q6_k": self.tr("Very close to the original."),
            "q5_k_m": self.tr("A little smaller, a little further from it."),
            "q4_k_m": self.tr("A good balance of size, speed and quality."),
            "bf16": self.tr("The weights as they are, for measuring and training."),
        }
        for row, quantization in enumerate(quantizations):
            button = QRadioButton(quantization.upper())
            button.setAccessibleDescription(why[quantization])
            button.setChecked(row == 0)
            self._group.addButton(button, row)
            grid.addWidget(button, row, 0)
            grid.addWidget(Label(why[quantization], "small"), row, 1)
        return grid

    def _foot(self) -> QHBoxLayout:
        cancel = Button(self.tr("Cancel"))
        cancel.clicked.connect(self.reject)
        foot = QHBoxLayout()
        foot.addStretch()
        foot.addWidget(cancel)
        foot.addWidget(self._export)
        return foot
