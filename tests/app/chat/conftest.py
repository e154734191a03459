"""Give the chat's tests a theme and an open storage."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from app.paths import assets_dir
from app.storage.conversations import Conversations
from app.storage.database import Database, open_database
from app.storage.messages import Messages
from app.theme import Theme


@pytest.fixture
def theme(qapp: QApplication) -> Theme:
    return Theme(qapp, assets_dir(), "light")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "phidelity.db")
    yield opened
    opened.close()


@pytest.fixture
def conversations(database: Database) -> Conversations:
    return Conversations(database)


@pytest.fixture
def messages(database: Database) -> Messages:
    return Messages(database)
