"""Take the data of a run: files, what was recognised in them, and what is to be left out."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QLocale, Signal
from PySide6.QtWidgets import QCheckBox, QFileDialog, QGridLayout, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from app.training.wording import CHECK_ORDER, check_text
from app.widgets.bars import ThinProgress
from app.widgets.buttons import Button
from app.widgets.labels import ElidedLabel, WrappedLabel
from app.widgets.surfaces import DropZone
from engine.training.preview_protocol import CheckCount, DataSummary, PreviewFailed, PreviewProgress

DROPPED = ("duplicate", "near-duplicate", "empty", "too-long", "template", "roles")
PROBLEMS_HEIGHT = 84


class DataSection(QWidget):
    """Show what is chosen and what was found in it."""

    paths_changed = Signal()
    drop_changed = Signal()
    chats_requested = Signal()
    example_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Begin without data."""
        super().__init__(parent)
        self._paths: list[Path] = []
        self._checks: dict[str, QCheckBox] = {}
        self._zone = DropZone(
            self.tr("Drop files here: chats, instructions, preferences (JSON, CSV, Parquet) or text.")
        )
        self._zone.paths_dropped.connect(self.add_paths)
        self._files = ElidedLabel("", "strong")
        self._form = WrappedLabel("", "muted")
        self._progress = ThinProgress(self.tr("Reading the data"))
        self._failure = WrappedLabel("", "bad")
        self._problems = QPlainTextEdit()
        self._problems.setReadOnly(True)
        self._problems.setTabChangesFocus(True)
        self._problems.setMaximumHeight(PROBLEMS_HEIGHT)
        self._problems.setAccessibleName(self.tr("Rows that cannot be read"))
        self._problem_title = WrappedLabel("", "warning")
        self._check_title = WrappedLabel(self.tr("Leave out"), "small")
        self._check_grid = QGridLayout()
        self._check_grid.setHorizontalSpacing(24)
        self._check_grid.setVerticalSpacing(6)
        self._personal = WrappedLabel("", "warning")
        self._kept = WrappedLabel("", "strong")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self._zone)
        layout.addLayout(self._buttons())
        for widget in (self._files, self._form, self._progress, self._failure, self._problem_title, self._problems,
                       self._check_title):  # fmt: skip
            layout.addWidget(widget)
        layout.addLayout(self._check_grid)
        layout.addWidget(self._personal)
        layout.addWidget(self._kept)
        self._clear()

    @property
    def paths(self) -> list[Path]:
        """Return the chosen files and folders."""
        return list(self._paths)

    @property
    def drop(self) -> list[str]:
        """Return the checks whose findings are left out."""
        return [check for check, box in self._checks.items() if box.isChecked()]

    def add_paths(self, paths: Sequence[Path]) -> None:
        """Choose more files."""
        self._paths = list(dict.fromkeys([*self._paths, *paths]))
        self._clear()
        self.paths_changed.emit()

    def remove_all(self) -> None:
        """Choose nothing."""
        self._paths = []
        self._clear()
        self.paths_changed.emit()

    def set_drop(self, check: str, is_dropped: bool) -> None:
        """Leave out what a check found, or keep it."""
        self._checks[check].setChecked(is_dropped)

    def show_progress(self, progress: PreviewProgress) -> None:
        """Show how far the reading is."""
        self._failure.hide()
        self._progress.show()
        self._form.show()
        if progress.stage == "base":
            self._form.setText(self.tr("Opening the base…"))
            self._progress.set_fraction(None)
        else:
            self._form.setText(self.tr("Reading {}…").format(progress.name))
            self._progress.set_fraction(progress.done / progress.total if progress.total else None)

    def show_failure(self, failure: PreviewFailed) -> None:
        """Say why the data cannot be used."""
        self._clear()
        self._failure.setText(" ".join(part for part in (failure.message, failure.remedy) if part))
        self._failure.show()

    def show_summary(self, summary: DataSummary) -> None:
        """Show what was recognised and found."""
        locale = QLocale()
        self._progress.hide()
        self._form.show()
        words = [self.tr("Recognised: {}.").format(summary.words), summary.evidence.replace("`", "")]
        if summary.tokens:
            words.append(
                self.tr("{} tokens; half of the examples have up to {}, the longest {}.").format(
                    *(locale.toString(each) for each in (summary.tokens, summary.median, summary.longest))
                )
            )
        self._form.setText(" ".join(word for word in words if word))
        self._show_problems(summary)
        self._show_checks(summary.checks)

    def show_kept(self, kept: int, examples: int) -> None:
        """Show how many examples are used."""
        locale = QLocale()
        self._kept.setText(
            self.tr("{} of {} examples are used.").format(locale.toString(kept), locale.toString(examples))
        )
        self._kept.show()

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        self._remove = Button(self.tr("Remove"), "text")
        for text, act in (
            (self.tr("Choose files…"), self._choose),
            (self.tr("From my chats…"), self.chats_requested.emit),
            (self.tr("The example"), self.example_requested.emit),
        ):
            button = Button(text)
            button.clicked.connect(lambda _checked=False, act=act: act())
            row.addWidget(button)
        self._remove.clicked.connect(self.remove_all)
        row.addStretch()
        row.addWidget(self._remove)
        return row

    def _choose(self) -> None:
        title = self.tr("Choose training data")
        kinds = "*.jsonl *.json *.ndjson *.csv *.tsv *.parquet *.txt *.md *.pdf *.gz *.bz2 *.xz"
        chosen, _ = QFileDialog.getOpenFileNames(self, title, "", self.tr("Training data ({})").format(kinds))
        if chosen:
            self.add_paths([Path(path) for path in chosen])

    def _clear(self) -> None:
        """Show the chosen files and nothing about them."""
        names = ", ".join(path.name for path in self._paths)
        self._files.setText(names)
        self._files.setVisible(bool(names))
        self._remove.setVisible(bool(names))
        for widget in (self._form, self._progress, self._failure, self._problem_title, self._problems,
                       self._check_title, self._personal, self._kept):  # fmt: skip
            widget.hide()
        self._show_checks(())

    def _show_problems(self, summary: DataSummary) -> None:
        count = summary.problem_count
        self._problem_title.setVisible(count > 0)
        self._problems.setVisible(count > 0)
        if not count:
            return
        number = QLocale().toString(count)
        self._problem_title.setText(
            self.tr("1 row cannot be read and is left out.")
            if count == 1
            else self.tr("{} rows cannot be read and are left out.").format(number)
        )
        several = len({problem.file for problem in summary.problems}) > 1
        lines = [
            f"{problem.file + ', ' if several else ''}{problem.place}: {problem.sentence}"
            for problem in summary.problems
        ]
        if count > len(lines):
            lines.append(self.tr("and {} more").format(QLocale().toString(count - len(lines))))
        self._problems.setPlainText("\n".join(lines))

    def _show_checks(self, checks: Sequence[CheckCount]) -> None:
        for box in self._checks.values():
            self._check_grid.removeWidget(box)
            box.hide()
            box.deleteLater()
        counted = sorted((check for check in checks if check.check in CHECK_ORDER),
                         key=lambda check: CHECK_ORDER.index(check.check))  # fmt: skip
        self._checks = {check.check: self._check_box(check) for check in counted}
        for place, box in enumerate(self._checks.values()):
            self._check_grid.addWidget(box, place // 2, place % 2)
            box.show()
        self._check_title.setVisible(bool(self._checks))
        personal = next((check for check in checks if check.check == "personal-data"), None)
        self._personal.setVisible(personal is not None)
        if personal is not None:
            self._personal.setText(
                self.tr("{} examples seem to hold personal data: a model may repeat what it has learned.").format(
                    QLocale().toString(personal.count)
                )
            )

    def _check_box(self, check: CheckCount) -> QCheckBox:
        box = QCheckBox(f"{check_text(check.check)} · {QLocale().toString(check.count)}")
        box.setToolTip("\n".join(f"{sample.place} {sample.sentence}" for sample in check.samples))
        box.setChecked(check.check in DROPPED)
        box.toggled.connect(self.drop_changed)
        return box
