"""Show what the base and the trained model answer to the same prompt, at a checkpoint of choice."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.training.run import Run
from app.widgets.buttons import Button, MenuButton
from app.widgets.labels import ElidedLabel, Label, WrappedLabel
from app.widgets.surfaces import Card
from engine.jobs.events import TrainingAnswer


class AnswersCard(Card):
    """Hold both answers side by side."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty card."""
        super().__init__(parent)
        self._run: Run | None = None
        self._step: int | None = None
        self._prompt_number = 0
        self._steps = MenuButton("", "small-text")
        self._steps.setAccessibleName(self.tr("Checkpoint"))
        self._before = Button("‹", "small-text")
        self._before.setAccessibleName(self.tr("Prompt before"))
        self._before.clicked.connect(lambda: self._turn(-1))
        self._after = Button("›", "small-text")
        self._after.setAccessibleName(self.tr("Next prompt"))
        self._after.clicked.connect(lambda: self._turn(1))
        self._number = Label("", "small")
        self._prompt = ElidedLabel("", "small")
        self._base = WrappedLabel()
        self._tuned = WrappedLabel()
        self._waiting = WrappedLabel(self.tr("Both answers appear at the first checkpoint."), "muted")
        self._lay_out()

    def show_run(self, run: Run) -> None:
        """Show the answers of a run, the newest unless another step was chosen."""
        if self._run is None or self._run.identity != run.identity:
            self._step, self._prompt_number = None, 0
        self._run = run
        self._fill()

    def show_step(self, step: int | None) -> None:
        """Show the answers of one checkpoint; None follows the newest."""
        self._step = step
        self._fill()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(Label(self.tr("Same prompt, before and after"), "heading"))
        top.addStretch()
        for widget in (self._before, self._number, self._after):
            top.addWidget(widget)
        columns = QHBoxLayout()
        columns.setSpacing(24)
        self._base_column = self._column(Label(self.tr("Base"), "small"), self._base)
        self._tuned_column = self._column(self._steps, self._tuned)
        columns.addWidget(self._base_column, 1)
        columns.addWidget(self._tuned_column, 1)
        self.body.addLayout(top)
        self.body.addWidget(self._prompt)
        self.body.addLayout(columns)
        self.body.addWidget(self._waiting)
        self.body.addStretch()

    def _column(self, title: QWidget, answer: WrappedLabel) -> QWidget:
        column = QWidget()
        layout = QVBoxLayout(column)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        title.setFixedHeight(max(title.sizeHint().height(), self._steps.sizeHint().height()))
        layout.addWidget(title, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(answer)
        layout.addStretch()
        return column

    def _turn(self, move: int) -> None:
        self._prompt_number += move
        self._fill()

    def _fill(self) -> None:
        answers = self._run.answers if self._run is not None else {}
        steps = sorted(answers)
        there = bool(steps)
        self._waiting.setVisible(not there)
        for widget in (self._prompt, self._base_column, self._tuned_column):
            widget.setVisible(there)
        prompts = list(answers[steps[-1]].values()) if there else []
        for widget in (self._before, self._number, self._after):
            widget.setVisible(len(prompts) > 1)
        if not prompts:
            return
        self._prompt_number %= len(prompts)
        step = self._step if self._step in answers else steps[-1]
        assert step is not None
        self._fill_menu(steps, step)
        prompt = prompts[self._prompt_number].prompt
        self._number.setText(f"{self._prompt_number + 1} / {len(prompts)}")
        self._show(answers[step].get(prompt) or prompts[self._prompt_number], step)

    def _show(self, answer: TrainingAnswer, step: int) -> None:
        self._prompt.setText("“{}”".format(" ".join(answer.prompt.split())))
        empty = self.tr("(an empty answer)")
        self._base.setText(answer.base.strip() or empty)
        self._tuned.setText((answer.base if step == 0 else answer.tuned).strip() or empty)

    def _fill_menu(self, steps: list[int], step: int) -> None:
        self._steps.set_label(self.tr("Step {}").format(step))
        menu = self._steps.menu()
        menu.clear()
        for each in reversed(steps):
            action = menu.addAction(self.tr("Step {}").format(each))
            action.setCheckable(True)
            action.setChecked(each == step)
            newest = each == steps[-1]
            action.triggered.connect(
                lambda _checked=False, each=each, newest=newest: self.show_step(None if newest else each)
            )
