"""Check which pictures messages and drafts keep, and that each file goes with the last that shows it."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from app.storage.conversations import Conversations
from app.storage.database import Database, open_database
from app.storage.messages import Messages
from app.storage.migrations import MIGRATIONS
from app.storage.pictures import AttachedPicture, Pictures
from engine.pictures.stored_picture import StoredPicture

Make = Callable[..., AttachedPicture]


@pytest.fixture
def pictures(database: Database) -> Pictures:
    return Pictures(database)


def attached(folder: Path, letter: str, name: str = "", alt_text: str = "") -> AttachedPicture:
    stored = StoredPicture(letter * 64, ".png", 400, 300, 757, 1921)
    return AttachedPicture(stored, folder, name or f"{letter}.png", alt_text or letter)


@pytest.fixture
def picture(tmp_path: Path) -> Make:
    return partial(attached, tmp_path / "pictures")


def put_files(pictures: Pictures, *attached: AttachedPicture) -> list[Path]:
    """Write the three files of each picture as an intake does."""
    pictures.folder.mkdir(exist_ok=True)
    files = []
    for each in attached:
        for path in (each.file, each.thumbnail, each.view):
            path.write_bytes(b"x")
            files.append(path)
    return files


def test_a_message_keeps_its_pictures_in_order(messages: Messages, conversations: Conversations, picture: Make) -> None:
    chat = conversations.create("Chat").id
    shown = (picture("b", "beach.png", "A beach"), picture("a"), picture("b", "again.png"))
    question = messages.add(chat, None, "user", "Which is older?", pictures=shown)
    answer = messages.add(chat, question.id, "assistant", "The first.")
    assert question.pictures == shown
    assert [message.pictures for message in messages.path(chat)] == [shown, ()]
    assert messages.get(answer.id) == messages.path(chat)[1]


def test_versions_have_pictures_of_their_own(messages: Messages, conversations: Conversations, picture: Make) -> None:
    chat = conversations.create("Chat").id
    first = messages.add(chat, None, "user", "Look", pictures=[picture("a")])
    messages.add(chat, None, "user", "Look again", pictures=[picture("b")])
    assert messages.path(chat)[0].pictures == (picture("b"),)
    messages.select_version(first.id)
    assert messages.path(chat)[0].pictures == (picture("a"),)


def test_a_branch_takes_the_pictures_along(messages: Messages, conversations: Conversations, picture: Make) -> None:
    chat = conversations.create("Chat").id
    question = messages.add(chat, None, "user", "Look", pictures=[picture("a"), picture("b")])
    copy = conversations.branch(messages, question.id)
    assert copy is not None
    assert messages.path(copy.id)[0].pictures == question.pictures


def test_drafts_keep_their_pictures_apart(pictures: Pictures, conversations: Conversations, picture: Make) -> None:
    chat = conversations.create("Chat").id
    pictures.save_draft(chat, [picture("a"), picture("b")])
    pictures.save_draft(None, [picture("c")])
    pictures.save_draft(chat, [picture("b")])
    assert pictures.draft(chat) == (picture("b"),)
    assert pictures.draft(None) == (picture("c"),)
    conversations.delete(chat)
    assert pictures.draft(chat) == ()
    pictures.save_draft(None, [])
    assert pictures.draft(None) == ()


def test_a_file_goes_with_the_last_chat_that_shows_it(
    pictures: Pictures, messages: Messages, conversations: Conversations, picture: Make
) -> None:
    shared, own, drafted = picture("a"), picture("b"), picture("d")
    files = put_files(pictures, shared, own, drafted)
    foreign = pictures.folder / "notes.txt"
    foreign.write_text("not ours")
    first, second = conversations.create("First").id, conversations.create("Second").id
    messages.add(first, None, "user", "Look", pictures=[shared, own])
    messages.add(second, None, "user", "Look", pictures=[shared])
    pictures.save_draft(second, [drafted])
    assert pictures.sweep() == 0

    conversations.trash(first)
    assert pictures.sweep() == 0
    conversations.empty_trash(older_than_seconds=-1e9)
    assert pictures.sweep() == 3
    assert [path.exists() for path in files] == [True] * 3 + [False] * 3 + [True] * 3
    conversations.delete(second)
    assert pictures.sweep() == 6
    assert list(pictures.folder.iterdir()) == [foreign]


def test_what_a_broken_off_intake_left_is_swept(
    pictures: Pictures, messages: Messages, conversations: Conversations, picture: Make
) -> None:
    kept = picture("a")
    put_files(pictures, kept, picture("c"))
    part = pictures.folder / f"{'a' * 64}.view.png.123.part"
    part.write_bytes(b"half")
    messages.add(conversations.create("Chat").id, None, "user", "Look", pictures=[kept])
    assert pictures.sweep() == 4
    assert kept.stored.is_whole(pictures.folder)
    assert len(list(pictures.folder.iterdir())) == 3


def test_sweeping_without_a_folder_does_nothing(pictures: Pictures) -> None:
    assert pictures.sweep() == 0


def test_a_database_from_before_pictures_is_brought_up_to_date(tmp_path: Path, picture: Make) -> None:
    path = tmp_path / "phidelity.db"
    old = open_database(path, MIGRATIONS[:1])
    old.connection.execute("INSERT INTO conversations (title, created_at, updated_at) VALUES ('Old chat', 1, 1)")
    old.connection.execute(
        "INSERT INTO messages (conversation_id, role, text, created_at) VALUES (1, 'user', 'hello', 1)"
    )
    old.close()
    database = open_database(path)
    messages = Messages(database)
    (message,) = messages.path(1)
    assert (message.text, message.pictures) == ("hello", ())
    messages.add(1, message.id, "user", "Look", pictures=[picture("a")])
    assert messages.path(1)[1].pictures == (picture("a"),)
    database.close()
    copy = sqlite3.connect(path.with_name("phidelity.db.v1.backup"))
    assert copy.execute("SELECT count(*) FROM messages").fetchone()[0] == 1
    copy.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE pictures SET width = 'wide', fast_tokens = x'ff'",
        "UPDATE message_pictures SET name = x'ff', alt_text = 7",
    ],
)
def test_damaged_references_never_make_a_chat_unopenable(
    damage: str, database: Database, messages: Messages, conversations: Conversations, picture: Make
) -> None:
    chat = conversations.create("Chat").id
    messages.add(chat, None, "user", "Look", pictures=[picture("a")])
    database.connection.execute(damage)
    (message,) = messages.path(chat)
    assert message.text == "Look"
    assert [each.stored.digest for each in message.pictures] == ["a" * 64]


def test_references_are_recovered_from_a_damaged_file(tmp_path: Path, picture: Make) -> None:
    path = tmp_path / "phidelity.db"
    database = open_database(path)
    chat = Conversations(database).create("Chat").id
    messages, parent = Messages(database), None
    with database.transaction():
        for number in range(300):
            text = f"message {number} " + "lorem ipsum " * 60
            parent = messages.add(chat, parent, "user", text, pictures=[picture("a")]).id
    database.close()
    content = bytearray(path.read_bytes())
    content[-3 * 4096 :] = b"\xa5" * (3 * 4096)
    path.write_bytes(content)
    database = open_database(path)
    assert database.notice is not None
    recovered = Messages(database).path(chat)
    assert len(recovered) > 200
    assert sum(bool(message.pictures) for message in recovered) > 100
    assert database.connection.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()
