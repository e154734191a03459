"""Check ratings and votes: kept, taken back, carried over from old and damaged files."""

import sqlite3
from pathlib import Path

import pytest

from app.storage.conversations import Conversations
from app.storage.database import Database, open_database
from app.storage.messages import BAD, GOOD, UNRATED, Messages
from app.storage.migrations import MIGRATIONS
from app.storage.votes import Votes
from tests.app.storage.conftest import Clock


@pytest.fixture
def votes(database: Database, clock: Clock) -> Votes:
    return Votes(database, clock)


def answers(conversations: Conversations, messages: Messages, count: int = 2) -> tuple[int, list[int]]:
    """Make a chat with versions of one answer."""
    chat = conversations.create("Lisbon").id
    question = messages.add(chat, None, "user", "How is Lisbon?").id
    return chat, [messages.add(chat, question, "assistant", f"Version {number}").id for number in range(count)]


def write_old(path: Path, chats: int) -> None:
    """Write a database of the version before ratings."""
    connection = sqlite3.connect(path)
    for script in MIGRATIONS[:2]:
        connection.executescript(script)
    connection.execute("PRAGMA user_version = 2")
    for chat in range(1, chats + 1):
        connection.execute(
            "INSERT INTO conversations (id, title, created_at, updated_at) VALUES (?, 'Old', 1, 1)", (chat,)
        )
        for _ in range(10):
            connection.execute(
                "INSERT INTO messages (conversation_id, role, text, created_at) VALUES (?, 'user', ?, 1)",
                (chat, "old words " * 40),
            )
    connection.commit()
    connection.close()


def test_a_rating_is_kept_and_taken_back(conversations: Conversations, messages: Messages) -> None:
    chat, [first, second] = answers(conversations, messages)
    messages.rate(first, BAD)
    messages.rate(second, GOOD)
    assert [message.rating for message in messages.all_of(chat)] == [UNRATED, BAD, GOOD]
    assert messages.path(chat)[-1].rating == GOOD
    messages.rate(second, UNRATED)
    found = messages.get(second)
    assert found is not None and found.rating == UNRATED


def test_a_rating_that_is_damaged_counts_as_none(
    database: Database, conversations: Conversations, messages: Messages
) -> None:
    chat, [first, _] = answers(conversations, messages)
    database.connection.execute("UPDATE messages SET rating = 'x', made_with = '[' WHERE id = ?", (first,))
    assert [(message.rating, message.made_with) for message in messages.all_of(chat)] == [(UNRATED, {})] * 3


def test_what_an_answer_was_made_with_and_its_rating_go_into_a_branch(
    conversations: Conversations, messages: Messages
) -> None:
    chat, _ = answers(conversations, messages, 1)
    question = messages.path(chat)[0].id
    answer = messages.add(chat, question, "assistant", "Sunny", made_with={"temperature": 0.5})
    messages.rate(answer.id, GOOD)
    copy = conversations.branch(messages, answer.id)
    assert copy is not None
    last = messages.path(copy.id)[-1]
    assert (last.rating, last.made_with) == (GOOD, {"temperature": 0.5})


def test_the_last_vote_about_two_answers_counts(conversations: Conversations, messages: Messages, votes: Votes) -> None:
    chat, [first, second, third] = answers(conversations, messages, 3)
    votes.add(first, second)
    votes.add(second, first, blind=False)
    votes.add(first, third, equal=True)
    one, other = votes.of_chat(chat)
    assert (one.chosen_id, one.rejected_id, one.equal, one.blind) == (second, first, False, False)
    assert (other.chosen_id, other.rejected_id, other.equal, other.blind) == (first, third, True, True)
    assert one.voted_at > 1_790_000_000


def test_votes_go_with_their_chat(conversations: Conversations, messages: Messages, votes: Votes) -> None:
    chat, [first, second] = answers(conversations, messages)
    votes.add(first, second)
    conversations.delete(chat)
    assert votes.of_chat(chat) == []


def test_a_database_from_before_ratings_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "phidelity.db"
    write_old(path, chats=1)
    database = open_database(path)
    found = Messages(database).all_of(1)
    assert [message.rating for message in found] == [UNRATED] * 10
    Messages(database).rate(found[0].id, GOOD)
    Votes(database).add(found[0].id, found[1].id)
    assert len(Votes(database).of_chat(1)) == 1
    database.close()
    assert (tmp_path / "phidelity.db.v2.backup").is_file()


def test_a_damaged_file_from_before_ratings_gives_its_messages(tmp_path: Path) -> None:
    path = tmp_path / "phidelity.db"
    write_old(path, chats=40)
    content = bytearray(path.read_bytes())
    page = len(content) // 2 // 4096 * 4096
    content[page : page + 3 * 4096] = b"\xa5" * (3 * 4096)
    path.write_bytes(content)
    database = open_database(path)
    assert database.notice is not None
    recovered = [
        message for chat in Conversations(database).page(100) for message in Messages(database).all_of(chat.id)
    ]
    assert len(recovered) > 300
    assert all(message.rating == UNRATED for message in recovered)
    database.close()


def test_ratings_and_votes_are_recovered_from_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "phidelity.db"
    database = open_database(path)
    conversations, messages, votes = Conversations(database), Messages(database), Votes(database)
    with database.transaction():
        for _ in range(60):
            _, [first, second] = answers(conversations, messages)
            messages.append_text(second, "more words " * 200)
            messages.rate(first, BAD)
            votes.add(second, first)
    pieces = database.connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'pieces'").fetchone()[0]
    database.close()
    content = bytearray(path.read_bytes())
    content[(pieces - 1) * 4096 : pieces * 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    database = open_database(path)
    assert database.notice is not None
    chats = Conversations(database).page(100)
    assert len(chats) == 60
    assert all(len(Votes(database).of_chat(chat.id)) == 1 for chat in chats)
    assert [message.rating for message in Messages(database).all_of(chats[0].id)] == [UNRATED, BAD, UNRATED]
    database.close()
