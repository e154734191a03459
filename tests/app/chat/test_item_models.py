"""Check the headings, the paging and the search of the list of chats."""

from datetime import date, datetime, timedelta

from app.chat.item_models import PAGE, ConversationListModel, heading_for
from app.storage.conversations import Conversations
from app.storage.database import Database
from app.storage.messages import Messages


def titles(model: ConversationListModel) -> list[str | None]:
    return [model.data(model.index(row)) for row in range(model.rowCount())]


def test_headings_by_day_then_by_month() -> None:
    today = date(2026, 11, 23)

    def heading(days: int) -> str:
        return heading_for(datetime.combine(today - timedelta(days), datetime.min.time()).timestamp() + 3600, today)

    assert [heading(days) for days in (0, 1, 2, 7)] == ["Today", "Yesterday", "Last week", "Last week"]
    assert heading(23) == "October"
    assert heading(400) == "October 2025"
    assert heading_for(1e300, today) == "Older"


def test_chats_are_read_in_pages(database: Database) -> None:
    now = [1_700_000_000.0]
    conversations = Conversations(database, lambda: now[0])
    for number in range(PAGE + 10):
        now[0] += 60
        conversations.create(f"Chat {number}")
    model = ConversationListModel(conversations)
    model.reload()
    assert model.canFetchMore(model.index(-1))
    first = titles(model)
    model.fetchMore(model.index(-1))
    assert titles(model)[: len(first)] == first
    assert [title for title in titles(model) if title and title.startswith("Chat")][-1] == "Chat 0"
    assert not model.canFetchMore(model.index(-1))


def test_a_search_shows_each_chat_once(conversations: Conversations, messages: Messages) -> None:
    first = conversations.create("Fruit")
    second = conversations.create("Other")
    for _ in range(3):
        messages.add(first.id, None, "user", "a banana please")
    messages.add(second.id, None, "user", "no banana")
    model = ConversationListModel(conversations)
    model.search("banana")
    assert sorted(filter(None, titles(model))) == ["Fruit", "Other"]
    model.search("fruit")
    assert titles(model) == ["Fruit"]
    assert model.row_of(first.id) == 0
    model.search("nothing of the kind")
    assert titles(model) == []
