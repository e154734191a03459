"""Say what fine-tuning is before there is a first run."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.widgets.buttons import Button
from app.widgets.labels import Label, WrappedLabel

COLUMN_WIDTH = 560


class EmptyState(QWidget):
    """Explain in a few lines and offer the first step."""

    example_requested = Signal()
    new_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make the explanation."""
        super().__init__(parent)
        column = QVBoxLayout()
        column.setSpacing(12)
        column.addWidget(Label(self.tr("Teach a model your style"), "title"))
        for text in self._sentences():
            column.addWidget(WrappedLabel(text, "muted"))
        column.addSpacing(8)
        example = Button(self.tr("Try it with the Starter"), "primary")
        example.clicked.connect(self.example_requested)
        new = Button(self.tr("Choose my own data"))
        new.clicked.connect(self.new_requested)
        steps = QHBoxLayout()
        steps.setSpacing(8)
        steps.addWidget(example)
        steps.addWidget(new)
        steps.addStretch()
        column.addLayout(steps)
        column.addWidget(Label(self.tr("The example: 56 short answers of a shop's support."), "small"))
        holder = QWidget()
        holder.setLayout(column)
        holder.setMaximumWidth(COLUMN_WIDTH)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 40, 0, 0)
        layout.addStretch(1)
        layout.addWidget(holder, 20, Qt.AlignmentFlag.AlignVCenter)
        layout.addStretch(1)

    def _sentences(self) -> list[str]:
        return [
            self.tr(
                "Fine-tuning lets a model learn from examples of yours how to answer: the tone, the length, the "
                "format. A few dozen good examples are enough to begin."
            ),
            self.tr(
                "It does not teach facts reliably: what the model did not know before it will still get wrong, only in "
                "your style. Put facts into the question instead."
            ),
            self.tr(
                "Training runs on this computer, in the background, and nothing leaves it. With the Starter the "
                "example takes a few minutes; a Phi-3-mini without a graphics card takes hours. You see how long it "
                "will take before it begins."
            ),
        ]
