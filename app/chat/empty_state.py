"""Greet in a chat that has no messages yet."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.widgets.buttons import Button
from app.widgets.labels import Label, WrappedLabel

COLUMN_WIDTH = 520


class EmptyState(QWidget):
    """Say which model is there and how far it can be trusted, and offer first steps."""

    prompt_chosen = Signal(str)
    import_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make the greeting."""
        super().__init__(parent)
        self._title = Label("", "title")
        self._sentence = WrappedLabel("", "muted")
        column = QVBoxLayout()
        column.setSpacing(12)
        column.addWidget(self._title)
        column.addWidget(self._sentence)
        column.addSpacing(8)
        for prompt in self._prompts():
            button = Button(prompt)
            button.clicked.connect(lambda _checked=False, prompt=prompt: self.prompt_chosen.emit(prompt))
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        column.addSpacing(8)
        steps = QHBoxLayout()
        import_button = Button(self.tr("Import a checkpoint"))
        import_button.clicked.connect(self.import_requested)
        steps.addWidget(Label(self.tr("Have a Phi-3 checkpoint or a GGUF file?"), "muted"))
        steps.addWidget(import_button)
        steps.addStretch()
        column.addLayout(steps)
        holder = QWidget()
        holder.setLayout(column)
        holder.setMaximumWidth(COLUMN_WIDTH)
        layout = QHBoxLayout(self)
        layout.addStretch(1)
        layout.addWidget(holder, 20, Qt.AlignmentFlag.AlignVCenter)
        layout.addStretch(1)

    def set_model(self, name: str, is_starter: bool) -> None:
        """Speak of the model that will answer; an empty name means that there is none."""
        if not name:
            self._title.setText(self.tr("Choose a model to begin"))
            self._sentence.setText(self.tr("Pick one at the top, or import one. Everything stays on this computer."))
        elif is_starter:
            self._title.setText(self.tr("Chat with the Starter"))
            self._sentence.setText(
                self.tr(
                    "The Starter is a small built-in model with 135 million parameters. It is quick and fine for a "
                    "first try, and it makes mistakes: check what it says. Everything stays on this computer."
                )
            )
        else:
            self._title.setText(self.tr("Chat with {0}").format(name))
            self._sentence.setText(
                self.tr("Models make mistakes: check what matters. Everything stays on this computer.")
            )

    def _prompts(self) -> list[str]:
        return [
            self.tr("Name three fruits and their colours."),
            self.tr("Explain in two sentences why the sky is blue."),
            self.tr("Write a Python function that adds two numbers."),
        ]
