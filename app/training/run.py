"""Hold what is known of one run: what was asked for, and what its events tell."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.training.run_note import RunNote
from engine.jobs.events import (
    JobDone,
    JobEvent,
    JobFailed,
    JobProgress,
    TrainingAnswer,
    TrainingEstimate,
    TrainingEvaluation,
    TrainingNotice,
    TrainingStep,
    TrainJob,
)

# `asking`: the estimate is there and the user has not agreed yet; `yielding`: an answer is written in the chat.
State = Literal[
    "queued", "preparing", "asking", "training", "paused", "yielding", "finishing", "done", "failed", "stopped"
]
ENDED = ("done", "failed", "stopped")
ADAPTER_METHODS = ("lora", "qlora", "dpo")


@dataclass
class Run:
    """Follow one run through its events.

    Attributes:
        folder: where it lies; its name is the run's identity.
        losses, evaluations: by step; a step that comes again replaces the former.
        answers: by step, then by prompt.
        started: whether its process was ever started.
        finishing: whether it was asked to end here and keep what was learned.
    """

    folder: Path
    job: TrainJob
    note: RunNote
    started: bool = False
    finishing: bool = False
    losses: dict[int, float] = field(default_factory=dict)
    evaluations: dict[int, float] = field(default_factory=dict)
    answers: dict[int, dict[str, TrainingAnswer]] = field(default_factory=dict)
    estimate: TrainingEstimate | None = None
    step: TrainingStep | None = None
    progress: JobProgress | None = None
    notice: TrainingNotice | None = None
    outcome: JobDone | JobFailed | None = None

    @property
    def identity(self) -> str:
        """Return the name of the folder."""
        return self.folder.name

    @property
    def state(self) -> State:
        """Tell in which state it is."""
        if self.outcome is not None:
            if isinstance(self.outcome, JobDone):
                return "done"
            return "stopped" if self.outcome.code == "cancelled" else "failed"
        if not self.started:
            return "queued"
        if self.finishing:
            return "finishing"
        if self.estimate is not None and not self.note.confirmed:
            return "asking"
        if self.notice is not None and self.notice.code in ("paused", "waiting"):
            return "paused" if self.notice.code == "paused" else "yielding"
        return "preparing" if self.progress is not None or self.step is None else "training"

    @property
    def ended(self) -> bool:
        """Tell whether nothing goes on any more."""
        return self.state in ENDED

    @property
    def fraction(self) -> float | None:
        """Return how much of it is done; None before the first step."""
        if self.state == "done":
            return 1.0
        return self.step.step / self.step.steps if self.step is not None else None

    @property
    def failure(self) -> JobFailed | None:
        """Return why it ended without a result, if it did."""
        return self.outcome if isinstance(self.outcome, JobFailed) else None

    @property
    def is_adapter(self) -> bool:
        """Tell whether its result changes the base rather than being a model of its own."""
        return self.job.method in ADAPTER_METHODS

    @property
    def adapter(self) -> Path | None:
        """Return the file of the adapter that it made; None where it is not there."""
        return self.result_path("adapter") or self.result_path("seeing_adapter")

    @property
    def sees(self) -> bool:
        """Tell whether it taught a model that sees, whose picture part changed with the adapter."""
        return self.result_path("seeing_adapter") is not None

    @property
    def validation_loss(self) -> float | None:
        """Return the last loss on data that is not learned from."""
        return self.evaluations[max(self.evaluations)] if self.evaluations else None

    def result_path(self, name: str) -> Path | None:
        """Return a file or folder that the run made, such as `path` or `card`; None where it is not there."""
        value = self.outcome.result.get(name) if isinstance(self.outcome, JobDone) else None
        path = Path(value) if isinstance(value, str) and value else None
        return path if path is not None and path.exists() else None

    def take(self, events: Iterable[JobEvent]) -> None:
        """Bring it up to date."""
        for event in events:
            self._take(event)

    def begin(self, job: TrainJob | None = None) -> None:
        """Note that its process starts, with another job all over again."""
        self.started, self.finishing, self.outcome, self.notice, self.progress = True, False, None, None, None
        if job is not None:
            self.job = job
            self.losses.clear()
            self.evaluations.clear()
            self.answers.clear()
            self.estimate = self.step = None

    def _take(self, event: JobEvent) -> None:
        match event:
            case TrainingEstimate():
                self.estimate, self.progress = event, None
            case TrainingStep():
                self.losses[event.step] = event.loss
                self.step, self.progress = event, None
            case TrainingEvaluation():
                self.evaluations[event.step] = event.loss
            case TrainingAnswer():
                self.answers.setdefault(event.step, {})[event.prompt] = event
            case TrainingNotice():
                self.notice, self.progress = event, None
            case JobProgress():
                self.progress = event
            case JobDone() | JobFailed():
                self.outcome = event
