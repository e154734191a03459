"""Open a fresh database for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage.conversations import Conversations
from app.storage.database import Database, open_database
from app.storage.messages import Messages


class Clock:
    """Tell a time that only tests move."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        """Return the time, a second later at each look."""
        self.now += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path / "phidelity.db")
    yield database
    database.close()


@pytest.fixture
def conversations(database: Database, clock: Clock) -> Conversations:
    return Conversations(database, clock)


@pytest.fixture
def messages(database: Database, clock: Clock) -> Messages:
    return Messages(database, clock)
