"""Check the search with its index, without one, and after the index is lost."""

import pytest

from app.storage import search
from app.storage.conversations import Conversations
from app.storage.database import Database
from app.storage.messages import AnswerStats, Messages


@pytest.fixture(params=["index", "plain"])
def conversations(request: pytest.FixtureRequest, database: Database) -> Conversations:
    """Give chats with and without the index; the second drops it, as an SQLite without FTS5 would."""
    database.has_search_index = request.param == "index"
    return Conversations(database)


def test_words_are_found_in_titles_and_messages(conversations: Conversations, messages: Messages) -> None:
    trip = conversations.create("Trip to Lisbon")
    sql = conversations.create("SQL for monthly totals")
    message = messages.add(sql.id, None, "user", "Add up the sales of\nLisbon and Porto by month, " + "and so on " * 30)
    hits = conversations.search("lisbon")
    assert [(hit.conversation_id, hit.message_id) for hit in hits] == [(trip.id, None), (sql.id, message.id)]
    assert hits[0].title == hits[0].snippet == "Trip to Lisbon"
    assert "Lisbon and Porto" in hits[1].snippet
    assert "\n" not in hits[1].snippet
    assert len(hits[1].snippet) < 120
    assert conversations.search("Madrid") == []
    assert conversations.search("   ") == []


def test_a_streamed_answer_is_found_once_it_has_ended(conversations: Conversations, messages: Messages) -> None:
    chat = conversations.create("Chat")
    answer = messages.add(chat.id, None, "assistant", streaming=True)
    messages.append_text(answer.id, "The capital is Canber")
    messages.append_text(answer.id, "ra.")
    messages.finish(answer.id, AnswerStats("stop"))
    assert [hit.message_id for hit in conversations.search("Canberra")] == [answer.id]


def test_trash_and_deleted_chats_are_not_found(conversations: Conversations, messages: Messages) -> None:
    trashed, deleted = conversations.create("apple one"), conversations.create("apple two")
    for chat in (trashed, deleted):
        messages.add(chat.id, None, "user", "apple pie")
    conversations.trash(trashed.id)
    conversations.delete(deleted.id)
    assert conversations.search("apple") == []


@pytest.mark.parametrize(
    "query", ['"', "'", "a OR", "NEAR(", "x*y", "heading:", "-", "%", "_", "\\", "\0", "a\0b", "((", "🙂"]
)
def test_no_query_is_an_error(query: str, conversations: Conversations, messages: Messages) -> None:
    chat = conversations.create("plain title")
    messages.add(chat.id, None, "user", "plain text")
    assert conversations.search(query) == []


def test_scripts_without_spaces_are_found(conversations: Conversations, messages: Messages) -> None:
    chat = conversations.create("旅行")
    message = messages.add(chat.id, None, "user", "我想去里斯本旅行。")
    assert [hit.message_id for hit in conversations.search("里斯本")] == [message.id]


def test_accents_and_unfinished_words_match_in_the_index(database: Database, messages: Messages) -> None:
    conversations = Conversations(database)
    if not database.has_search_index:
        pytest.skip("this SQLite has no FTS5")
    chat = conversations.create("Café in Zürich")
    assert [hit.conversation_id for hit in conversations.search("zurich cafe")] == [chat.id]
    assert [hit.conversation_id for hit in conversations.search("caf")] == [chat.id]
    conversations.rename(chat.id, "Tea")
    assert conversations.search("cafe") == []


def test_a_lost_index_is_made_again(database: Database, messages: Messages) -> None:
    conversations = Conversations(database)
    chat = conversations.create("Chat")
    messages.add(chat.id, None, "user", "needle")
    database.connection.execute("DROP TABLE text_index")
    assert [hit.snippet for hit in conversations.search("needle")] == ["needle"]
    for event in ("insert", "delete", "update"):
        database.connection.execute(f"DROP TRIGGER text_index_{event}")
    messages.add(chat.id, None, "user", "second needle")
    assert search.prepare(database.connection)
    assert len(conversations.search("needle")) == 2
