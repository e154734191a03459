"""Check the tree of messages: versions, streaming, and rows that damage has changed."""

import sqlite3
from pathlib import Path

import pytest

from app.storage.conversations import Conversations
from app.storage.database import Database, open_database
from app.storage.errors import StorageError
from app.storage.messages import AnswerStats, Messages

STATS = AnswerStats("stop", "Starter", 36, 12, 5, 21.5, 310.0, "The two oldest messages were left out.")


@pytest.fixture
def chat(conversations: Conversations) -> int:
    return conversations.create("Chat").id


def texts(messages: Messages, chat: int) -> list[str]:
    return [message.text for message in messages.path(chat)]


def test_an_answer_grows_and_ends_with_its_figures(messages: Messages, chat: int) -> None:
    question = messages.add(chat, None, "user", "Name three fruits.")
    answer = messages.add(chat, question.id, "assistant", streaming=True, model="Starter")
    for piece in ("Ap", "ple, ", "🍐, fig"):
        messages.append_text(answer.id, piece)
    growing = messages.path(chat)[-1]
    assert (growing.text, growing.streaming, growing.stats) == ("Apple, 🍐, fig", True, None)
    messages.finish(answer.id, STATS)
    ended = messages.path(chat)[-1]
    assert (ended.text, ended.streaming, ended.stats) == ("Apple, 🍐, fig", False, STATS)
    assert messages.get(answer.id) == ended


def test_regenerating_keeps_the_earlier_answer(messages: Messages, chat: int) -> None:
    question = messages.add(chat, None, "user", "Hi")
    first = messages.add(chat, question.id, "assistant", "Hello")
    messages.add(chat, first.id, "user", "More")
    second = messages.add(chat, question.id, "assistant", "Good day")
    assert texts(messages, chat) == ["Hi", "Good day"]
    assert (messages.path(chat)[-1].version, messages.path(chat)[-1].versions) == (2, 2)
    assert messages.versions(second.id) == [first.id, second.id]
    messages.select_version(first.id)
    assert texts(messages, chat) == ["Hi", "Hello", "More"]


def test_editing_the_first_message_keeps_both(messages: Messages, chat: int) -> None:
    first = messages.add(chat, None, "user", "Hi")
    messages.add(chat, first.id, "assistant", "Hello")
    messages.add(chat, None, "user", "Good morning")
    assert texts(messages, chat) == ["Good morning"]
    messages.select_version(first.id)
    assert texts(messages, chat) == ["Hi", "Hello"]


def test_an_answer_cut_by_a_kill_is_closed_with_its_text(messages: Messages, chat: int) -> None:
    question = messages.add(chat, None, "user", "Hi")
    answer = messages.add(chat, question.id, "assistant", streaming=True, model="Starter")
    messages.append_text(answer.id, "Hel")
    assert messages.recover_interrupted() == 1
    recovered = messages.path(chat)[-1]
    assert (recovered.text, recovered.streaming) == ("Hel", False)
    assert recovered.stats == AnswerStats("interrupted", "Starter")
    assert messages.recover_interrupted() == 0


def test_a_copied_path_keeps_figures_and_only_what_is_shown(
    messages: Messages, conversations: Conversations, chat: int
) -> None:
    question = messages.add(chat, None, "user", "Hi")
    messages.add(chat, question.id, "assistant", "dropped")
    answer = messages.add(chat, question.id, "assistant", "kept", streaming=True)
    messages.finish(answer.id, STATS)
    other = conversations.create("Copy").id
    messages.copy_path(answer.id, other)
    copied = messages.path(other)
    assert [m.text for m in copied] == ["Hi", "kept"]
    assert copied[-1].stats == STATS
    assert copied[-1].versions == 1


def test_appending_to_a_message_that_is_gone_is_an_error_in_words(messages: Messages) -> None:
    with pytest.raises(StorageError) as caught:
        messages.append_text(99, "x")
    assert caught.value.code == "storage_damaged"


DAMAGE = [
    "UPDATE messages SET text = CAST(x'ff00fe' AS TEXT) WHERE id = 2",
    "UPDATE messages SET text = x'00ff' WHERE id = 2",
    "UPDATE messages SET created_at = 'yesterday', prompt_tokens = 'many', finish_reason = 7 WHERE id = 2",
    "UPDATE messages SET created_at = 9e999 WHERE id = 2",
    "UPDATE messages SET selected_child = 'x'",
    "UPDATE messages SET selected_child = 3000",
    "UPDATE conversations SET selected_child = 2, sampling = '{', title = x'ff', updated_at = 'now'",
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_one_bad_row_never_makes_a_chat_unopenable(
    damage: str, database: Database, messages: Messages, conversations: Conversations, chat: int
) -> None:
    parent = None
    for i in range(4):
        parent = messages.add(chat, parent, "user" if i % 2 == 0 else "assistant", f"message {i}").id
    database.connection.execute(damage)
    path = messages.path(chat)
    assert len(path) == 4
    assert [path[0].text, path[2].text, path[3].text] == ["message 0", "message 2", "message 3"]
    assert conversations.get(chat) is not None
    assert len(conversations.page()) == 1


@pytest.mark.parametrize("parent", [None, 3, 4, 77])
def test_a_lost_or_circular_parent_does_not_hide_the_rest(
    parent: int | None, database: Database, messages: Messages, chat: int
) -> None:
    last = None
    for i in range(4):
        last = messages.add(chat, last, "user", f"message {i}").id
    database.connection.execute("PRAGMA foreign_keys = OFF")
    if parent is None:
        database.connection.execute("DELETE FROM messages WHERE id = 2")
        assert texts(messages, chat) == ["message 0", "message 2", "message 3"]
    else:
        database.connection.execute("UPDATE messages SET parent_id = ? WHERE id = 3", (parent,))
        assert texts(messages, chat) == ["message 0", "message 1", "message 2", "message 3"]


def test_a_second_writer_that_holds_the_file_is_named(database: Database, messages: Messages, chat: int) -> None:
    database.connection.execute("PRAGMA busy_timeout = 10")
    path = Path(database.connection.execute("PRAGMA database_list").fetchone()[2])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError) as caught:
        messages.add(chat, None, "user", "hello")
    assert caught.value.code == "storage_busy"
    other.close()
    assert messages.add(chat, None, "user", "hello").text == "hello"


def test_a_full_disk_is_named_and_loses_nothing(database: Database, messages: Messages, chat: int) -> None:
    answer = messages.add(chat, None, "assistant", streaming=True)
    messages.append_text(answer.id, "kept")
    pages = database.connection.execute("PRAGMA page_count").fetchone()[0]
    database.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError) as caught:
        messages.append_text(answer.id, "x" * 100_000)
    assert caught.value.code == "disk_full"
    assert texts(messages, chat) == ["kept"]


def test_what_is_written_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "profile" / "phidelity.db"
    database = open_database(path)
    chat = Conversations(database).create("Chat").id
    Messages(database).add(chat, None, "user", "hello")
    database.close()
    database = open_database(path)
    assert texts(Messages(database), chat) == ["hello"]
    database.close()


def test_an_edited_answer_stands_beside_what_the_model_wrote(messages: Messages, conversations: Conversations) -> None:
    chat = conversations.create("Chat").id
    question = messages.add(chat, None, "user", "Why?")
    answer = messages.add(chat, question.id, "assistant", "Becuase.")
    first = messages.add_edited(answer.id, "Because.")
    assert first is not None
    again = messages.add_edited(first.id, "Because it is.")
    assert again is not None
    shown = messages.path(chat)[-1]
    assert (shown.text, shown.version, shown.versions, shown.streaming) == ("Because it is.", 3, 3, False)
    # An edit of an edit is one of what the model wrote, too.
    assert [first.edited_from, again.edited_from] == [answer.id, answer.id]
    kept = messages.get(answer.id)
    assert kept is not None and (kept.text, kept.edited_from) == ("Becuase.", None)
    assert messages.add_edited(question.id, "How?") is None
