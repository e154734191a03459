"""Ask for a new run: the base, the data, the method, the name; the rest has defaults."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from app.theme import Theme
from app.training.advanced_settings import AdvancedSettings
from app.training.base_section import BaseChoice, BaseSection
from app.training.data_preview import DataPreview
from app.training.data_section import DataSection
from app.training.method_choice import LEARNS_FROM, MethodChoice
from app.training.run_note import RunNote
from app.training.token_view import ROWS_SHOWN, TokenView
from app.widgets.buttons import Button
from app.widgets.labels import Label, WrappedLabel
from engine.busy import default_busy_file
from engine.errors import EngineError
from engine.jobs.events import TrainJob
from engine.training.preview_protocol import (
    Answer,
    CountKept,
    DataSummary,
    DataWritten,
    KeptCount,
    PreviewFailed,
    PreviewProgress,
    ReadData,
    ShowTokens,
    TokenRows,
    WriteData,
)

SIZE = (760, 700)
DATA_FILE = "data.jsonl"
LONGEST_TITLE = 60


@dataclass(frozen=True)
class Places:
    """Say where a run may put and find things; pictures among its data that lie in `datasets` become its own."""

    cache: Path
    models: Path
    datasets: Path


class NewRunDialog(QDialog):
    """Lead from data to a run; `started` brings its folder, job and note."""

    started = Signal(Path, TrainJob, RunNote)
    chats_requested = Signal()
    example_requested = Signal()

    def __init__(
        self,
        theme: Theme,
        bases: Sequence[BaseChoice],
        places: Places,
        new_folder: Callable[[str], Path],
        parent: QWidget | None = None,
    ) -> None:
        """Ask; `new_folder` makes the folder of a run from its title, or raises EngineError."""
        super().__init__(parent)
        self._places, self._new_folder = places, new_folder
        self._preview: DataPreview | None = None
        self._summary: DataSummary | None = None
        self._kept = 0
        self._folder: Path | None = None
        self.setWindowTitle(self.tr("New run"))
        self.resize(*SIZE)
        self.base = BaseSection(bases)
        self.data = DataSection()
        self.tokens = TokenView(theme)
        self.method = MethodChoice()
        self.name = QLineEdit()
        self.name.setMaxLength(LONGEST_TITLE)
        self.name.setAccessibleName(self.tr("Name"))
        self.advanced = AdvancedSettings()
        self._problem = WrappedLabel("", "bad")
        self._problem.hide()
        self.start_button = Button(self.tr("Prepare the run"), "primary")
        self._token_title = Label(self.tr("What is learned"), "heading")
        self._lay_out()
        self._connect()
        self._check()

    def add_data(self, paths: Sequence[Path]) -> None:
        """Choose files."""
        self.data.add_paths(paths)

    def closeEvent(self, event: QCloseEvent) -> None:
        """End the examination with the dialog."""
        self._close_preview()
        super().closeEvent(event)

    def done(self, result: int) -> None:
        """End the examination with the dialog."""
        self._close_preview()
        self._drop_folder()
        super().done(result)

    def _lay_out(self) -> None:
        content = QWidget()
        content.setProperty("kind", "page")
        column = QVBoxLayout(content)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(8)
        column.addWidget(Label(self.tr("New run"), "title"))
        for title, widget in (
            (self.tr("Base"), self.base),
            (self.tr("Data"), self.data),
            (None, self.tokens),
            (self.tr("Method"), self.method),
            (self.tr("Name"), self.name),
        ):
            column.addSpacing(8)
            column.addWidget(self._token_title if title is None else Label(title, "heading"))
            column.addWidget(widget)
        column.addSpacing(8)
        column.addWidget(self.advanced)
        column.addStretch()
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(area, 1)
        layout.addLayout(self._foot())
        self._show_tokens(None)

    def _foot(self) -> QHBoxLayout:
        cancel = Button(self.tr("Cancel"))
        cancel.clicked.connect(self.reject)
        foot = QHBoxLayout()
        foot.setContentsMargins(24, 12, 24, 16)
        foot.setSpacing(8)
        foot.addWidget(self._problem, 1)
        foot.addStretch()
        foot.addWidget(cancel)
        foot.addWidget(self.start_button)
        return foot

    def _connect(self) -> None:
        self.base.changed.connect(self._read_data)
        self.advanced.reading_changed.connect(self._read_data)
        self.data.paths_changed.connect(self._read_data)
        self.data.drop_changed.connect(self._count)
        self.data.chats_requested.connect(self.chats_requested)
        self.data.example_requested.connect(self.example_requested)
        self.method.changed.connect(lambda: self._ask_tokens(0))
        self.tokens.page_requested.connect(self._ask_tokens)
        self.name.textChanged.connect(self._check)
        self.start_button.clicked.connect(self._start)

    def _read_data(self) -> None:
        """Examine the chosen data anew, for the chosen base."""
        self._close_preview()
        self._summary, self._kept = None, 0
        self._show_tokens(None)
        paths = self.data.paths
        if paths:
            if not self.name.text():
                self.name.setText(paths[0].stem.replace("-", " ").replace("_", " ").capitalize()[:LONGEST_TITLE])
            self._preview = DataPreview(self)
            self._preview.answered.connect(self._take)
            request = ReadData(
                [str(path) for path in paths],
                self.base.choice.base,
                self.advanced.max_length,
                str(self._places.cache),
                str(self._places.models),
                self.advanced.num_crops,
            )
            self._preview.ask(request)
            self.data.show_progress(PreviewProgress("base"))
        self._check()

    def _take(self, answer: Answer) -> None:
        match answer:
            case PreviewProgress():
                self.data.show_progress(answer)
            case DataSummary():
                self._summary = answer
                self.data.show_summary(answer)
                self.method.fit_to(answer.kinds)
                self._count()
            case KeptCount():
                self._kept = answer.kept
                if self._summary is not None:
                    self.data.show_kept(answer.kept, self._summary.examples)
            case TokenRows():
                self._show_tokens(answer)
            case DataWritten():
                self._hand_over(answer)
            case PreviewFailed():
                self._fail(answer)
        self._check()

    def _count(self) -> None:
        if self._preview is not None and self._summary is not None:
            self._preview.ask(CountKept(self.data.drop))
            self._ask_tokens(0)

    def _ask_tokens(self, start: int) -> None:
        if self._preview is not None and self._summary is not None:
            length = self.advanced.max_length
            self._preview.ask(ShowTokens(self.data.drop, self.method.method, length, max(start, 0), ROWS_SHOWN))

    def _show_tokens(self, rows: TokenRows | None) -> None:
        for widget in (self._token_title, self.tokens):
            widget.setVisible(rows is not None)
        if rows is not None:
            self.tokens.show_rows(rows)

    def _fail(self, failure: PreviewFailed) -> None:
        if self._folder is None:
            self.data.show_failure(failure)
            self._summary = None
        else:
            self._drop_folder()
            self._say(" ".join(part for part in (failure.message, failure.remedy) if part))

    def _check(self) -> None:
        """Allow the start once there is something to learn from."""
        fits = self._summary is not None and self._summary.kinds.get(LEARNS_FROM[self.method.method], 0) > 0
        ready = fits and self._kept > 0 and bool(self.name.text().strip()) and self._folder is None
        self.start_button.setEnabled(ready)
        self.start_button.setToolTip("" if ready else self.tr("Choose data first, and give the run a name."))

    def _say(self, sentence: str) -> None:
        self._problem.setText(sentence)
        self._problem.setVisible(bool(sentence))

    def _start(self) -> None:
        """Have the data written to the run's folder; the run starts when that is done."""
        assert self._preview is not None
        self._say("")
        try:
            self._folder = self._new_folder(self.name.text().strip())
        except EngineError as error:
            self._say(f"{error.message} {error.remedy or ''}")
            return
        self.start_button.setEnabled(False)
        self._preview.ask(WriteData(self.data.drop, str(self._folder / DATA_FILE), str(self._places.datasets)))

    def _hand_over(self, written: DataWritten) -> None:
        assert self._folder is not None
        assert self._summary is not None
        drop = self.data.drop
        left_out = {check.check: check.count for check in self._summary.checks if check.check in drop}
        note = RunNote(
            title=self.name.text().strip(),
            base=self.base.choice.title,
            form=self._summary.words,
            examples=self._summary.examples + self._summary.problem_count,
            kept=written.kept,
            left_out=left_out | ({"unreadable": self._summary.problem_count} if self._summary.problem_count else {}),
        )
        folder, self._folder = self._folder, None
        self.started.emit(folder, self._job(Path(written.out)), note)
        self.accept()

    def _job(self, data: Path) -> TrainJob:
        return TrainJob(
            base=self.base.choice.base,
            data=str(data),
            method=self.method.method,
            cache=str(self._places.cache),
            busy_file=str(default_busy_file()),
            models_dir=str(self._places.models),
            **self.advanced.values(),
        )

    def _drop_folder(self) -> None:
        """Leave no empty folder of a run that did not come to be."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _close_preview(self) -> None:
        if self._preview is not None:
            self._preview.close()
            self._preview = None
