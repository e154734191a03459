"""Build the Models page with its real services over an empty profile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.background import Background
from app.job_queue import JobQueue
from app.library.controller import LibraryController
from app.library.model_list import ModelList
from app.library.page import ModelsPage
from app.notices import Notices
from app.paths import Paths, profile_paths
from app.settings import Settings
from app.storage.database import open_database
from app.storage.models import ModelRecords

WAIT_MS = 60_000


class AnsweringNotices(Notices):
    """Give the user's answer without opening a box."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.answer = True
        self.questions: list[tuple[str, str]] = []
        self.said: list[str] = []

    def confirm(self, question: str, consequence: str, action: str) -> bool:
        """Note the question and answer."""
        self.questions.append((question, consequence))
        return self.answer

    def say(self, sentence: str, action: str | None = None, on_action: Callable[[], object] | None = None) -> None:
        """Note what is said."""
        self.said.append(sentence)
        super().say(sentence, action, on_action)


@dataclass
class Library:
    """Hold the page and everything behind it."""

    paths: Paths
    settings: Settings
    records: ModelRecords
    background: Background
    models: ModelList
    queue: JobQueue
    page: ModelsPage
    notices: AnsweringNotices
    controller: LibraryController
    chats: list[Path] = field(default_factory=list)


@pytest.fixture
def library(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    (tmp_path / "data-home").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-home"))  # where Linux keeps the trash
    paths = profile_paths(tmp_path / "profile")
    database = open_database(paths.database)
    settings, records, background = Settings(paths.settings), ModelRecords(database), Background()
    models = ModelList(settings, paths.models, records, background)
    queue = JobQueue(paths.jobs)
    page = ModelsPage()
    qtbot.addWidget(page)
    notices = AnsweringNotices(page)
    controller = LibraryController(page, models, queue, notices, background)
    library = Library(paths, settings, records, background, models, queue, page, notices, controller)
    controller.chat_requested.connect(library.chats.append)
    page.resize(1000, 700)
    page.show()
    qtbot.waitUntil(lambda: models.scanned, timeout=WAIT_MS)
    yield library
    for job in queue.jobs:
        queue.cancel(job.identity)
    qtbot.waitUntil(lambda: not queue._handles, timeout=WAIT_MS)
    queue.close()
    background.close()
    database.close()
