"""Check the list of chats: order, paging, trash, drafts, groups and titles."""

from datetime import datetime, timedelta

from app.storage.conversations import TRASH_SECONDS, Conversation, Conversations, TimeGroup, group_by_time, title_from
from app.storage.messages import Messages
from tests.app.storage.conftest import Clock


def test_a_new_chat_is_read_back_whole(conversations: Conversations) -> None:
    made = conversations.create("Trip to Lisbon", model="/m/phi.gguf", system_prompt="Be brief.")
    conversations.set_sampling(made.id, {"temperature": 0.2, "seed": None})
    read = conversations.get(made.id)
    assert read is not None
    assert (read.title, read.model, read.system_prompt) == ("Trip to Lisbon", "/m/phi.gguf", "Be brief.")
    assert read.sampling == {"temperature": 0.2, "seed": None}
    assert conversations.get(made.id + 1) is None


def test_changes_are_kept_and_do_not_move_the_chat(conversations: Conversations) -> None:
    first = conversations.create("First")
    second = conversations.create("Second")
    conversations.rename(first.id, "Renamed")
    conversations.set_model(first.id, "/m/other.gguf")
    conversations.set_system_prompt(first.id, "Answer in French.")
    assert [c.id for c in conversations.page()] == [second.id, first.id]
    changed = conversations.get(first.id)
    assert changed is not None
    assert (changed.title, changed.model, changed.system_prompt) == ("Renamed", "/m/other.gguf", "Answer in French.")


def test_a_message_moves_its_chat_to_the_top(conversations: Conversations, messages: Messages) -> None:
    first = conversations.create("First")
    conversations.create("Second")
    messages.add(first.id, None, "user", "hello")
    assert conversations.page()[0].id == first.id


def test_pages_follow_each_other_without_gap_or_repetition(conversations: Conversations) -> None:
    made = [conversations.create(f"Chat {i}").id for i in range(25)]
    seen: list[int] = []
    page = conversations.page(limit=10)
    while page:
        seen += [c.id for c in page]
        page = conversations.page(limit=10, before=page[-1])
    assert seen == made[::-1]


def test_trash_can_be_undone_and_is_emptied_after_a_month(
    conversations: Conversations, messages: Messages, clock: Clock
) -> None:
    chat = conversations.create("Keep me")
    message = messages.add(chat.id, None, "user", "hello")
    conversations.trash(chat.id)
    assert conversations.page() == []
    assert [c.id for c in conversations.trashed()] == [chat.id]
    conversations.restore(chat.id)
    assert [c.id for c in conversations.page()] == [chat.id]

    conversations.trash(chat.id)
    clock.now += TRASH_SECONDS - 100
    assert conversations.empty_trash() == 0
    clock.now += 200
    assert conversations.empty_trash() == 1
    assert messages.get(message.id) is None


def test_deleting_takes_messages_and_draft_along(conversations: Conversations, messages: Messages) -> None:
    chat, other = conversations.create("Gone"), conversations.create("Stays")
    message = messages.add(chat.id, None, "user", "hello")
    kept = messages.add(other.id, None, "user", "hello")
    conversations.save_draft(chat.id, "unsent")
    conversations.delete(chat.id)
    assert conversations.get(chat.id) is None
    assert messages.get(message.id) is None
    assert messages.get(kept.id) is not None
    assert conversations.draft(chat.id) == ""


def test_drafts_are_kept_apart(conversations: Conversations) -> None:
    chat = conversations.create("Chat")
    conversations.save_draft(chat.id, "half a thou")
    conversations.save_draft(chat.id, "half a thought")
    conversations.save_draft(None, "a new idea")
    assert conversations.draft(chat.id) == "half a thought"
    assert conversations.draft(None) == "a new idea"
    conversations.save_draft(None, "")
    assert conversations.draft(None) == ""


def test_a_branch_is_a_chat_of_its_own(conversations: Conversations, messages: Messages) -> None:
    chat = conversations.create("Cooking", model="/m/phi.gguf", system_prompt="You cook.")
    question = messages.add(chat.id, None, "user", "Soup?")
    answer = messages.add(chat.id, question.id, "assistant", "Tomato.")
    messages.add(chat.id, answer.id, "user", "Thanks")
    copy = conversations.branch(messages, answer.id)
    assert copy is not None
    assert (copy.title, copy.model, copy.system_prompt) == ("Cooking", "/m/phi.gguf", "You cook.")
    assert [(m.role, m.text) for m in messages.path(copy.id)] == [("user", "Soup?"), ("assistant", "Tomato.")]
    messages.add(copy.id, messages.path(copy.id)[-1].id, "user", "Another")
    assert len(messages.path(chat.id)) == 3
    assert conversations.branch(messages, 10_000) is None


def chat_used(moment: datetime) -> Conversation:
    return Conversation(1, "", 0.0, moment.timestamp(), None, None, "")


def test_chats_are_grouped_by_calendar_day() -> None:
    now = datetime(2026, 3, 10, 0, 30)
    ages = [timedelta(minutes=5), timedelta(hours=2), timedelta(days=6), timedelta(days=20), timedelta(days=90)]
    groups = group_by_time([chat_used(now - age) for age in ages], now.timestamp())
    assert [group for group, _ in groups] == list(TimeGroup)
    assert group_by_time([chat_used(now + timedelta(days=1))], now.timestamp())[0][0] is TimeGroup.TODAY
    assert group_by_time([], now.timestamp()) == []


def test_a_title_is_the_first_line_with_words() -> None:
    assert title_from("\n\n## Explain *attention* \nmore") == "Explain *attention"
    assert title_from("  \n ") == ""
    long = title_from("word " * 40)
    assert long.endswith("word…")
    assert len(long) <= 61
    assert len(title_from("x" * 500)) == 61
