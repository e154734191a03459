"""Check that an update of the database happens whole or not at all, whatever goes wrong, and is told in a sentence."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.storage.conversations import Conversations
from app.storage.database import open_database
from app.storage.errors import StorageError
from app.storage.migrations import MIGRATIONS
from tests.helpers.profiles import unpack_profile

LATER = [*MIGRATIONS, "CREATE TABLE later (id INTEGER)"]
BROKEN = [*LATER, "DROP TABLE drafts; ALTER TABLE nothing ADD COLUMN x"]
CONNECT = sqlite3.connect


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the database of a profile that the first version wrote."""
    return unpack_profile("v1", tmp_path) / "phidelity.db"


def state(path: Path) -> tuple[int, list[str]]:
    """Give the version and the whole content of a database."""
    connection = CONNECT(path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    content = list(connection.iterdump())
    connection.close()
    return version, content


def limited(pages: int | None) -> Callable[..., sqlite3.Connection]:
    """Connect as ever, to databases that cannot grow beyond `pages` pages, or not at all: a full disk."""

    def connect(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = CONNECT(*arguments, **options)
        limit = pages or connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {limit}")
        return connection

    return connect


def files(folder: Path) -> dict[str, bytes]:
    """Give the content of every file."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_step_that_fails_takes_the_steps_before_it_back(path: Path) -> None:
    before = state(path)
    with pytest.raises(StorageError) as caught:
        open_database(path, BROKEN)
    assert caught.value.code == "storage_not_updated"
    assert caught.value.message.endswith("they are as they were.")
    assert caught.value.remedy is not None
    assert state(path) == before
    assert before[0] == 1
    assert not list(path.parent.glob("*.backup*")), "nothing was changed, so there is nothing to go back to"
    open_database(path).close()


def test_a_disk_that_is_full_before_the_update_is_through(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(path)
    connections = iter([limited(None), CONNECT])  # of the database and of its copy
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: next(connections)(*a, **o))
    with pytest.raises(StorageError) as caught:
        open_database(path)
    monkeypatch.undo()
    assert caught.value.code == "disk_full"
    assert "they are as they were" in caught.value.message
    assert state(path) == before
    assert not list(path.parent.glob("*.backup*"))
    open_database(path).close()
    assert state(path)[0] == len(MIGRATIONS)


def test_a_disk_that_is_full_before_the_copy_is_through(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(path)
    connections = iter([CONNECT, limited(3)])
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: next(connections)(*a, **o))
    with pytest.raises(StorageError) as caught:
        open_database(path)
    monkeypatch.undo()
    assert caught.value.code == "disk_full"
    assert state(path) == before
    assert sorted(files(path.parent)) == ["phidelity.db", "settings.json"], "no half copy is left"


def test_a_window_that_is_killed_while_it_updates_changes_nothing(path: Path) -> None:
    before = state(path)
    program = """
import os, sqlite3, sys
from pathlib import Path
from app.storage import database, migrations
connect = sqlite3.connect
def with_death(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.create_function("die", 0, lambda: os._exit(9))
    return connection
sqlite3.connect = with_death
database.open_database(Path(sys.argv[1]), [*migrations.MIGRATIONS, "DROP TABLE drafts; SELECT die()"])
"""
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 9
    assert state(path) == before
    database = open_database(path)
    assert database.notice is None
    assert len(Conversations(database).page()) == 3
    database.close()


def test_a_copy_never_takes_the_place_of_another(path: Path) -> None:
    earlier = path.with_name("phidelity.db.v1.backup")
    earlier.write_text("kept by the user")
    open_database(path).close()
    assert earlier.read_text() == "kept by the user"
    assert state(path.with_name("phidelity.db.v1.backup-2"))[0] == 1


def test_what_is_left_of_a_copy_is_no_hindrance(path: Path) -> None:
    path.with_name("phidelity.db.backup.part").write_bytes(b"half of it")
    open_database(path).close()
    assert sorted(files(path.parent)) == ["phidelity.db", "phidelity.db.v1.backup", "settings.json"]


def test_another_program_at_work_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def impatient(*arguments: object, **options: object) -> sqlite3.Connection:
        return CONNECT(*arguments, **options, factory=Impatient)

    other = CONNECT(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(sqlite3, "connect", impatient)
    with pytest.raises(StorageError) as caught:
        open_database(path)
    other.close()
    assert caught.value.code == "storage_busy"
    assert state(path)[0] == 1


class Impatient(sqlite3.Connection):
    """Wait for nobody."""

    def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
        """Run a statement, those about waiting with no wait."""
        return super().execute("PRAGMA busy_timeout = 0" if "busy_timeout" in sql else sql, *arguments)


def test_a_profile_of_a_newer_version_is_not_touched(path: Path) -> None:
    open_database(path, LATER).close()
    with_log = CONNECT(path)
    with_log.execute("PRAGMA journal_mode = DELETE")
    with_log.close()
    before = files(path.parent)
    with pytest.raises(StorageError) as caught:
        open_database(path)
    assert caught.value.code == "storage_newer"
    assert caught.value.message == "Your chats were saved by a newer version of Phidelity."
    assert caught.value.remedy is not None
    assert files(path.parent) == before


def test_a_newer_profile_is_refused_even_when_it_is_damaged(path: Path) -> None:
    open_database(path, LATER).close()
    content = bytearray(path.read_bytes())
    content[8192 : 3 * 8192] = b"\xa5" * (2 * 8192)
    path.write_bytes(content)
    before = files(path.parent)
    with pytest.raises(StorageError) as caught:
        open_database(path)
    assert caught.value.code == "storage_newer"
    assert files(path.parent) == before
