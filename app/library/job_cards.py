"""Show imports that run, wait or failed, and things that could not be imported.

Signals of `JobCards`, with the job's identity: `cancel_requested(str)`, `retry_requested(str)`,
`dismiss_requested(str)`. Signals of `FailureCard`: `retry_requested()`, `dismissed()`.
"""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.durations import left_text
from app.job_queue import QueuedJob
from app.widgets.bars import ThinProgress
from app.widgets.buttons import Button
from app.widgets.labels import ElidedLabel, Label, WrappedLabel
from app.widgets.surfaces import Card
from engine.jobs.events import ImportJob, InstallTrainingJob, Job, QuantizeJob, RepairJob, TrainJob, VerifyJob


def job_title(job: Job) -> str:
    """Name the model that a job is about."""
    if isinstance(job, ImportJob) and job.name:
        return job.name
    if isinstance(job, TrainJob):
        return Path(job.data).stem
    if isinstance(job, InstallTrainingJob):
        return Path(job.folder).stem
    return Path(job.model if isinstance(job, VerifyJob) else job.out).stem


class JobCards(QWidget):
    """Hold a card per job; a running job's card is kept while its figures change."""

    cancel_requested = Signal(str)
    retry_requested = Signal(str)
    dismiss_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty column, which is hidden."""
        super().__init__(parent)
        self._cards: dict[tuple[str, str], ProgressCard | FailureCard] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(12)
        self.hide()

    def show_jobs(self, jobs: list[QueuedJob]) -> None:
        """Bring the cards up to date."""
        wanted = {(job.identity, "failed" if job.state == "failed" else "going on"): job for job in jobs}
        for key in [key for key in self._cards if key not in wanted]:
            card = self._cards.pop(key)
            self._layout.removeWidget(card)
            card.hide()
            card.deleteLater()
        for place, (key, job) in enumerate(wanted.items()):
            if key not in self._cards:
                self._cards[key] = self._make_card(job)
            card = self._cards[key]
            if self._layout.indexOf(card) != place:
                self._layout.insertWidget(place, card)
                card.show()
            if isinstance(card, ProgressCard):
                card.show_job(job)
        self.setVisible(bool(jobs))

    def _make_card(self, job: QueuedJob) -> "ProgressCard | FailureCard":
        identity = job.identity
        if job.failure is None:
            card = ProgressCard(job)
            card.cancel_requested.connect(lambda: self.cancel_requested.emit(identity))
            return card
        if isinstance(job.job, RepairJob):
            title = self.tr("{} was not repaired").format(job_title(job.job))
        elif isinstance(job.job, VerifyJob):
            title = self.tr("{} was not compared").format(job_title(job.job))
        else:
            title = self.tr("{} was not imported").format(job_title(job.job))
        failure = FailureCard(title, job.failure.message, job.failure.remedy, job.failure.details, can_retry=True)
        failure.retry_requested.connect(lambda: self.retry_requested.emit(identity))
        failure.dismissed.connect(lambda: self.dismiss_requested.emit(identity))
        return failure


class ProgressCard(Card):
    """Show how far an import is, and offer to cancel it."""

    cancel_requested = Signal()

    def __init__(self, job: QueuedJob, parent: QWidget | None = None) -> None:
        """Make the card of a job that waits or runs."""
        super().__init__(parent)
        self._title = ElidedLabel("", "heading")
        self._cancel = Button(self.tr("Cancel"))
        self._cancel.clicked.connect(self.cancel_requested)
        self._doing = ElidedLabel("", "small")
        self._pace = Label("", "small")
        self._bar = ThinProgress(self.tr("Progress"))
        top = QHBoxLayout()
        top.addWidget(self._title)
        top.addWidget(self._cancel)
        figures = QHBoxLayout()
        figures.addWidget(self._doing)
        figures.addWidget(self._pace)
        for row in (top, figures):
            row.setSpacing(12)
            self.body.addLayout(row)
        self.body.addWidget(self._bar)
        self.show_job(job)

    def show_job(self, job: QueuedJob) -> None:
        """Show other figures of the same job."""
        name = job_title(job.job)
        if isinstance(job.job, RepairJob):
            self._title.setText(self.tr("Repairing {}").format(name))
        elif isinstance(job.job, VerifyJob):
            self._title.setText(self.tr("Comparing {} with its reference").format(name))
        else:
            self._title.setText(self.tr("Importing {}").format(name))
        self._cancel.setAccessibleName(self.tr("Cancel: {}").format(self._title.text()))
        self._cancel.setEnabled(not job.cancelling)
        self._bar.setVisible(job.state == "running")
        self._doing.setText(self._doing_text(job))
        self._pace.setText(self._pace_text(job))
        progress = job.progress
        self._bar.set_fraction(progress.done / progress.total if progress and progress.total else None)

    def _doing_text(self, job: QueuedJob) -> str:
        """Say what is being done: `Converting · 186 of 243 tensors · Q4_K_M`."""
        if job.cancelling:
            return self.tr("Cancelling…")
        if job.state == "waiting":
            return self.tr("Waiting for its turn")
        progress = job.progress
        if progress is None:
            return self.tr("Starting…")
        stages = {
            "convert": self.tr("Converting"),
            "quantize": self.tr("Quantising"),
            "copy": self.tr("Copying"),
            "repair": self.tr("Repairing"),
            "reference": self.tr("Computing the reference"),
            "compare": self.tr("Computing with this model"),
        }
        parts = [stages.get(progress.stage, progress.stage)]
        if progress.unit == "tensors" and progress.total:
            parts.append(self.tr("{} of {} tensors").format(progress.done, progress.total))
        elif progress.unit == "bytes" and progress.total:
            parts.append(self.tr("{:.1f} of {:.1f} GB").format(progress.done / 1e9, progress.total / 1e9))
        elif progress.total:
            parts.append(self.tr("{} of {}").format(progress.done, progress.total))
        if isinstance(job.job, ImportJob | QuantizeJob) and job.job.quantization:
            parts.append(job.job.quantization.upper())
        return " · ".join(parts)

    def _pace_text(self, job: QueuedJob) -> str:
        """Say how fast and how long: `412 MB/s · 8 s left`."""
        progress = job.progress
        if progress is None or job.cancelling or progress.bytes_per_second <= 0:
            return ""
        parts = [f"{progress.bytes_per_second / 1e6:.0f} MB/s"]
        if progress.seconds_left is not None:
            parts.append(left_text(progress.seconds_left))
        return " · ".join(parts)


class FailureCard(Card):
    """Say in one sentence what went wrong and what helps; details are folded."""

    retry_requested = Signal()
    dismissed = Signal()

    def __init__(
        self,
        title: str,
        message: str,
        remedy: str | None,
        details: str | None = None,
        *,
        can_retry: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        """Make a card that stays until it is dismissed."""
        super().__init__(parent)
        self.setAccessibleName(f"{title}. {message}")
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(ElidedLabel(title, "heading"))
        if can_retry:
            self._add_button(top, self.tr("Try again"), self.retry_requested.emit)
        self._add_button(top, self.tr("Dismiss"), self.dismissed.emit)
        self.body.addLayout(top)
        self.body.addWidget(WrappedLabel(message, "bad"))
        if remedy:
            self.body.addWidget(WrappedLabel(remedy, "muted"))
        if details:
            self._add_details(details)

    def _add_button(self, row: QHBoxLayout, text: str, act: Callable[[], None]) -> None:
        button = Button(text)
        button.clicked.connect(lambda: act())
        row.addWidget(button)

    def _add_details(self, details: str) -> None:
        text = WrappedLabel(details.strip(), "small")
        text.hide()
        fold = Button(self.tr("Details"), "small-text")
        fold.setCheckable(True)
        fold.toggled.connect(text.setVisible)
        self.body.addWidget(fold, alignment=Qt.AlignmentFlag.AlignLeft)
        self.body.addWidget(text)
