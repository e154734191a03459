"""Say what training needs and is not there, and offer to install it.

Asks of the card: `install_requested()`, `wheels_requested()` (use a folder of wheels), `cancel_requested()`.
"""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.durations import left_text
from app.training.packages import PackagesStatus
from app.training.wording import size_text
from app.widgets.bars import ThinProgress
from app.widgets.buttons import Button
from app.widgets.labels import ElidedLabel, Label, WrappedLabel
from app.widgets.surfaces import Card
from engine.jobs.events import JobProgress


class PackagesCard(Card):
    """Be there while the packages of training are not."""

    install_requested = Signal()
    wheels_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make a hidden card."""
        super().__init__(parent)
        self.title = Label("", "heading")
        self.text = WrappedLabel("", "muted")
        self.failure = WrappedLabel("", "bad")
        self._details = WrappedLabel("", "small")
        self._fold = Button(self.tr("Details"), "small-text")
        self._fold.setCheckable(True)
        self._fold.toggled.connect(self._details.setVisible)
        for widget in (self.title, self.text, self.failure):
            self.body.addWidget(widget)
        self.body.addWidget(self._fold, alignment=Qt.AlignmentFlag.AlignLeft)
        self.body.addWidget(self._details)
        self._offers = self._make_offers()
        self._progress = self._make_progress()
        self.body.addWidget(self._offers)
        self._bar = ThinProgress(self.tr("Progress of the installation"))
        self.body.addWidget(self._progress)
        self.body.addWidget(self._bar)
        self.show_status(PackagesStatus())

    def show_status(self, status: PackagesStatus) -> None:
        """Show how things are; the card hides itself where nothing is needed."""
        goes_on = status.doing in ("installing", "cancelling")
        self.setVisible(status.are_needed or goes_on)
        self.title.setText(
            self.tr("Installing what training needs") if goes_on else self.tr("Training needs more packages")
        )
        self.text.setText(self._text(status))
        self.text.setVisible(not goes_on)
        self.install.setText(self.tr("Go on…") if status.state == "partial" else self.tr("Install…"))
        self._show_failure(status)
        self._offers.setVisible(not goes_on and status.download_bytes > 0)
        self._offers.setEnabled(status.doing is None)
        self._progress.setVisible(goes_on)
        self.cancel.setEnabled(status.doing == "installing")
        self._show_progress(status)

    def _make_offers(self) -> QWidget:
        self.install = Button("", "primary")
        self.install.clicked.connect(self.install_requested)
        self.wheels = Button(self.tr("Use a folder of wheels…"))
        self.wheels.setToolTip(self.tr("For a computer without a connection: the files, downloaded elsewhere."))
        self.wheels.clicked.connect(self.wheels_requested)
        return _row(self.install, self.wheels)

    def _make_progress(self) -> QWidget:
        self.doing = ElidedLabel("", "small")
        self._pace = Label("", "small")
        self.cancel = Button(self.tr("Cancel"))
        self.cancel.setAccessibleName(self.tr("Cancel the installation"))
        self.cancel.clicked.connect(self.cancel_requested)
        return _row(self.doing, self._pace, self.cancel, stretches=False)

    def _show_failure(self, status: PackagesStatus) -> None:
        failure = status.failure
        self.failure.setText(" ".join(filter(None, (failure.message, failure.remedy))) if failure else "")
        self.failure.setVisible(failure is not None)
        details = (failure.details or "").strip() if failure else ""
        self._details.setText(details)
        self._fold.setVisible(bool(details))
        self._details.setVisible(bool(details) and self._fold.isChecked())

    def _show_progress(self, status: PackagesStatus) -> None:
        progress = status.progress
        self._bar.setVisible(not self._progress.isHidden())
        self._bar.set_fraction(progress.done / progress.total if progress and progress.total else None)
        self.doing.setText(self.tr("Cancelling…") if status.doing == "cancelling" else self._doing_text(progress))
        left = progress.seconds_left if progress is not None else None
        self._pace.setText("" if left is None or status.doing == "cancelling" else left_text(left))

    def _doing_text(self, progress: JobProgress | None) -> str:
        """Say what is being done: `Downloading torch · 120 MB of 364 MB`."""
        if progress is None:
            return self.tr("Starting…")
        if not progress.total:
            return self.tr("Trying whether everything can be loaded")
        stages = {
            "download": self.tr("Downloading {}"),
            "unpack": self.tr("Unpacking {}"),
            "check": self.tr("Checking {}"),
        }
        doing = stages.get(progress.stage, "{}").format(progress.item)
        amount = self.tr("{} of {}").format(size_text(progress.done), size_text(progress.total))
        return f"{doing} · {amount}"

    def _text(self, status: PackagesStatus) -> str:
        if not status.download_bytes:
            return self.tr("PyTorch and what belongs to it are not part of this program.")
        whole, disk = size_text(status.download_bytes), size_text(status.disk_bytes)
        if status.state == "outdated":
            first = self.tr("The installed packages belong to another version of Phidelity; training needs new ones.")
        elif status.build == "cuda":
            first = self.tr("PyTorch for your NVIDIA card and what belongs to it are not part of this program.")
        else:
            first = self.tr("PyTorch and what belongs to it are not part of this program.")
        size = self.tr("They are downloaded once ({}) and take about {} on this computer.").format(whole, disk)
        if status.downloaded_bytes:
            done = size_text(status.downloaded_bytes)
            size += " " + self.tr("{} of the download are there already.").format(done)
        last = self.tr(
            "Training itself needs no connection, and nothing of yours is sent. The chat works without them."
        )
        return f"{first} {size} {last}"


def _row(*widgets: QWidget, stretches: bool = True) -> QWidget:
    holder = QWidget()
    layout = QHBoxLayout(holder)
    layout.setContentsMargins(0, 4, 0, 0)
    layout.setSpacing(8)
    for widget in widgets:
        layout.addWidget(widget)
    if stretches:
        layout.addStretch()
    return holder
