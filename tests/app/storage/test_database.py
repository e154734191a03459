"""Check opening: migrations with their copy, newer files, and damage of every kind."""

import sqlite3
from pathlib import Path

import pytest

from app.storage.conversations import Conversations
from app.storage.database import open_database
from app.storage.errors import StorageError
from app.storage.messages import Messages
from app.storage.migrations import MIGRATIONS


def fill(path: Path, chats: int = 40, length: int = 10) -> None:
    """Write chats with messages, closed properly."""
    database = open_database(path)
    conversations, messages = Conversations(database), Messages(database)
    with database.transaction():
        for i in range(chats):
            chat = conversations.create(f"Chat {i}").id
            parent = None
            for j in range(length):
                parent = messages.add(chat, parent, "user", f"chat {i} message {j} " + "lorem ipsum " * 40).id
    database.close()


def test_a_migration_keeps_a_copy_from_before(tmp_path: Path) -> None:
    path = tmp_path / "phidelity.db"
    fill(path, chats=2)
    database = open_database(path, [*MIGRATIONS, "ALTER TABLE conversations ADD COLUMN pinned INTEGER"])
    assert database.connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS) + 1
    assert len(Conversations(database).page()) == 2
    database.close()
    copy = sqlite3.connect(tmp_path / f"phidelity.db.v{len(MIGRATIONS)}.backup")
    assert copy.execute("SELECT count(*) FROM messages").fetchone()[0] == 20
    assert "pinned" not in [row[1] for row in copy.execute("PRAGMA table_info(conversations)")]
    copy.close()


def test_a_failing_migration_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "phidelity.db"
    fill(path, chats=2)
    with pytest.raises(StorageError):
        open_database(path, [*MIGRATIONS, "DROP TABLE drafts; ALTER TABLE nothing ADD COLUMN x"])
    database = open_database(path)
    assert database.notice is None
    assert Conversations(database).draft(None) == ""
    assert len(Conversations(database).page()) == 2
    database.close()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "phidelity.db"
    open_database(path, [*MIGRATIONS, "CREATE TABLE later (id INTEGER)"]).close()
    before = path.read_bytes()
    with pytest.raises(StorageError) as caught:
        open_database(path)
    assert caught.value.code == "storage_newer"
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError) as caught:
        open_database(tmp_path / "file" / "phidelity.db")
    assert caught.value.code == "storage_read_only"


@pytest.mark.parametrize(
    "content", [b"this is not a database, but long enough to be one" * 50, b"SQLite format 3\0" * 300]
)
def test_a_file_that_is_no_database_is_kept_aside(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "phidelity.db"
    path.write_bytes(content)
    database = open_database(path)
    assert database.notice is not None
    assert "0 chats" in database.notice
    assert [file.read_bytes() for file in tmp_path.glob("*.damaged-*")] == [content]
    Conversations(database).create("New start")
    database.close()


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "phidelity.db").touch()
    database = open_database(tmp_path / "phidelity.db")
    assert database.notice is None
    assert Conversations(database).page() == []
    database.close()


@pytest.mark.parametrize("at", [0.3, 0.5, 0.8])
def test_what_is_readable_of_a_damaged_file_is_recovered(at: float, tmp_path: Path) -> None:
    path = tmp_path / "phidelity.db"
    fill(path)
    content = bytearray(path.read_bytes())
    page = int(len(content) * at) // 4096 * 4096
    content[page : page + 3 * 4096] = b"\xa5" * (3 * 4096)
    path.write_bytes(content)
    database = open_database(path)
    assert database.notice is not None
    assert "damaged" in database.notice
    conversations, messages = Conversations(database), Messages(database)
    recovered = [message.text for chat in conversations.page(100) for message in messages.path(chat.id)]
    assert len(recovered) > 300
    assert all(text.startswith("chat ") for text in recovered)
    assert conversations.search("lorem")
    database.close()
    assert open_database(path).notice is None


def test_a_truncated_file_gives_back_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "phidelity.db"
    fill(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])
    database = open_database(path)
    assert database.notice is not None
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    database.close()
    again = open_database(path)
    assert again.notice is None
    again.close()


def damage(path: Path) -> bytes:
    """Overwrite the middle of a file and return what it holds then."""
    content = bytearray(path.read_bytes())
    page = len(content) // 2 // 4096 * 4096
    content[page : page + 3 * 4096] = b"\xa5" * (3 * 4096)
    path.write_bytes(content)
    return bytes(content)


def test_a_copy_from_before_an_update_is_named_after_damage(tmp_path: Path) -> None:
    path = tmp_path / "phidelity.db"
    fill(path)
    (tmp_path / "phidelity.db.v2.backup").write_bytes(path.read_bytes())
    damage(path)
    database = open_database(path)
    assert database.notice is not None
    assert database.notice.endswith("An older copy, from before an update, is phidelity.db.v2.backup.")
    database.close()


def test_a_damaged_file_stays_in_its_place_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "phidelity.db"
    fill(path)
    damaged = damage(path)
    connect = sqlite3.connect
    limits = iter([1 << 20, 60, 1 << 20])  # of the damaged file, the new one, and the damaged one as a source

    def limited(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.execute(f"PRAGMA max_page_count = {next(limits)}")
        return connection

    monkeypatch.setattr(sqlite3, "connect", limited)
    with pytest.raises(StorageError) as caught:
        open_database(path)
    monkeypatch.undo()
    assert caught.value.code == "disk_full"
    assert "damaged" in caught.value.message
    assert path.read_bytes() == damaged
    assert [file.name for file in tmp_path.iterdir()] == ["phidelity.db"]
    database = open_database(path)
    assert database.notice is not None
    assert len(Conversations(database).page(100)) > 20
    database.close()
