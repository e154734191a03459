"""Show one run: what it is, how far, how fast, its losses, and what can be done about it."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.theme import Theme
from app.training.loss_chart import LossChart
from app.training.run import Run
from app.training.wording import (
    estimate_text,
    method_text,
    pace_text,
    size_text,
    state_text,
    step_text,
    unit_text,
    when_text,
)
from app.widgets.bars import ThinProgress
from app.widgets.buttons import Button, ButtonKind
from app.widgets.labels import Badge, ElidedLabel, Label, WrappedLabel
from app.widgets.surfaces import Card

BAR_HEIGHT = 6
LONGEST_NAME = 280
# Where the estimate comes closer to the free memory than this, the sentence warns.
MEMORY_SHARE = 0.9


@dataclass(frozen=True)
class Action:
    """Offer something that can be done about a run."""

    text: str
    ask: str
    kind: ButtonKind = "secondary"


class RunCard(Card):
    """Hold the shown run. Asks carry what is asked for: `asked(str, Run)`, see `ASKS`."""

    asked = Signal(str, Run)

    ASKS = ("pause", "go on", "finish", "stop", "confirm", "continue", "retry", "smaller batch")

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make a card without a run."""
        super().__init__(parent)
        self._run: Run | None = None
        self._shown_actions: list[Action] = []
        self._title = ElidedLabel("", "heading")
        self._title.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._method = Badge("", "accent")
        self._about = ElidedLabel("", "small")
        self._actions = QHBoxLayout()
        self._actions.setSpacing(8)
        self._step = ElidedLabel("", "small")
        self._pace = Label("", "small")
        self._bar = ThinProgress(self.tr("Progress of the run"))
        self._bar.setFixedHeight(BAR_HEIGHT)
        self._sentence = WrappedLabel()
        self._warning = WrappedLabel("", "warning")
        self._failure = WrappedLabel("", "bad")
        self.chart = LossChart(theme)
        self._lay_out()

    def show_run(self, run: Run) -> None:
        """Show a run as it is now."""
        self._run = run
        self._title.setText(run.note.title)
        # What is said about the run gives way before its name does.
        self._title.setMinimumWidth(min(self._title.sizeHint().width(), LONGEST_NAME))
        self._method.setText(method_text(run.job))
        self._about.setText(self._about_text(run))
        self._step.setText(step_text(run))
        self._pace.setText(pace_text(run))
        self._bar.set_fraction(run.fraction if run.fraction is not None or run.ended else None)
        self._bar.setVisible(run.state not in ("queued", "asking"))
        self._bar.set_tone("bad" if run.state == "failed" else "accent")
        self._show_estimate(run)
        self._show_failure(run)
        steps = run.step.steps if run.step else run.estimate.steps if run.estimate else 1
        self.chart.set_losses(run.losses, run.evaluations, steps)
        self.chart.setVisible(bool(run.losses or run.evaluations))
        self._show_actions(actions_for(run, self.tr))
        self.setAccessibleName(self.tr("Run {}: {}").format(run.note.title, state_text(run)))

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(6)
        for widget in (self._title, self._method, self._about):
            top.addWidget(widget)
        top.addLayout(self._actions)
        figures = QHBoxLayout()
        figures.addWidget(self._step)
        figures.addWidget(self._pace)
        words = QVBoxLayout()
        words.setSpacing(4)
        for label in (self._sentence, self._warning, self._failure):
            words.addWidget(label)
        self.body.addLayout(top)
        self.body.addLayout(figures)
        self.body.addWidget(self._bar)
        self.body.addLayout(words)
        self.body.addSpacing(4)
        self.body.addWidget(self.chart)

    def _about_text(self, run: Run) -> str:
        parts = [run.note.base]
        if run.note.kept:
            parts.append(unit_text(run.job.method, run.note.kept))
        parts.append(self.tr("started {}").format(when_text(run.note.created)))
        return " · ".join(part for part in parts if part)

    def _show_estimate(self, run: Run) -> None:
        asking = run.state == "asking"
        self._sentence.setVisible(asking)
        estimate = run.estimate
        tight = asking and estimate is not None and estimate.memory_bytes > MEMORY_SHARE * estimate.memory_free
        self._warning.setVisible(tight)
        if not asking or estimate is None:
            return
        self._sentence.setText(estimate_text(run))
        if tight:
            self._warning.setText(
                self.tr("It needs {} and {} are free: close other programs, or choose a smaller batch.").format(
                    size_text(estimate.memory_bytes), size_text(estimate.memory_free)
                )
            )

    def _show_failure(self, run: Run) -> None:
        failed = run.failure if run.state == "failed" else None
        self._failure.setVisible(failed is not None)
        if failed is not None:
            self._failure.setText(" ".join(part for part in (failed.message, failed.remedy) if part))
            self._failure.setToolTip(failed.details or "")

    def _show_actions(self, actions: list[Action]) -> None:
        """Make buttons anew only when they differ, so that one keeps the focus while figures change."""
        if actions == self._shown_actions:
            return
        self._shown_actions = actions
        while (item := self._actions.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        for action in actions:
            button = Button(action.text, action.kind)
            button.clicked.connect(lambda _checked=False, ask=action.ask: self.asked.emit(ask, self._run))
            self._actions.addWidget(button)
            button.show()


def actions_for(run: Run, tr: Callable[[str], str]) -> list[Action]:
    """Return what can be done about a run in its state."""
    keep = Action(tr("Stop and keep"), "finish")
    match run.state:
        case "queued":
            return [Action(tr("Take out of the queue"), "stop")]
        case "preparing":
            return [Action(tr("Stop"), "stop")] if run.step is None else []
        case "asking":
            smaller = [Action(tr("Smaller batch"), "smaller batch")] if run.job.batch_size > 1 else []
            return [Action(tr("Not now"), "stop"), *smaller, Action(tr("Start training"), "confirm", "primary")]
        case "training" | "yielding":
            return [Action(tr("Pause"), "pause"), keep]
        case "paused":
            return [Action(tr("Continue"), "go on", "primary"), keep]
        case "stopped":
            return [Action(tr("Continue"), "continue")]
        case "failed":
            return _remedies(run, tr)
    return []


def _remedies(run: Run, tr: Callable[[str], str]) -> list[Action]:
    code = run.failure.code if run.failure else ""
    if code in ("out_of_memory", "job_died") and run.job.batch_size > 1:
        smaller = tr("Try with batches of {}").format(run.job.batch_size // 2)
        return [Action(tr("Try again"), "continue"), Action(smaller, "smaller batch")]
    if code == "training_diverged":
        return [Action(tr("Try with a lower learning rate"), "retry")]
    return [Action(tr("Try again"), "continue")]
