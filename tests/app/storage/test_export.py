"""Check what a chat looks like outside."""

import json

from app.storage import export
from app.storage.conversations import Conversations
from app.storage.messages import AnswerStats, Messages


def test_a_chat_is_exported_as_markdown_and_json(conversations: Conversations, messages: Messages) -> None:
    chat = conversations.create("Fruits & more", system_prompt="Be brief.")
    question = messages.add(chat.id, None, "user", "Name a *fruit* — 果物")
    answer = messages.add(chat.id, question.id, "assistant", "```\nfig\n```\n", streaming=True)
    messages.finish(answer.id, AnswerStats("stop", "Starter", tokens_per_second=20.0))
    path = messages.path(chat.id)
    assert export.to_markdown(chat, path) == (
        "# Fruits & more\n\n*System prompt:*\n\nBe brief.\n\n## You\n\nName a *fruit* — 果物\n\n"
        "## Assistant\n\n```\nfig\n```\n"
    )
    document = json.loads(export.to_json(chat, path))
    assert document["format"] == "phidelity-chat-1"
    assert [m["content"] for m in document["messages"]] == ["Name a *fruit* — 果物", "```\nfig\n```\n"]
    assert document["messages"][0]["stats"] is None
    assert document["messages"][1]["stats"]["tokens_per_second"] == 20.0
