"""Check what a chat looks like outside."""

import json
from functools import partial
from pathlib import Path

from app.storage import export
from app.storage.conversations import Conversations
from app.storage.messages import BAD, GOOD, AnswerStats, Messages
from app.storage.pictures import AttachedPicture
from engine.pictures.stored_picture import StoredPicture


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


def test_pictures_are_named(conversations: Conversations, messages: Messages) -> None:
    chat = conversations.create("Photos")
    attached = partial(AttachedPicture, StoredPicture("a" * 64, ".png", 40, 30, 757, 1921), Path("pictures"))
    pictures = [attached("IMG_1.png", "A beach\nat noon"), attached("b.png", "b.png")]
    question = messages.add(chat.id, None, "user", "Which?", pictures=pictures)
    messages.add(chat.id, question.id, "user", "", pictures=pictures[1:])
    path = messages.path(chat.id)
    assert export.to_markdown(chat, path) == (
        "# Photos\n\n## You\n\n*Picture: A beach at noon (IMG_1.png)*\n\n*Picture: b.png*\n\nWhich?\n\n"
        "## You\n\n*Picture: b.png*\n"
    )
    document = json.loads(export.to_json(chat, path))
    assert document["messages"][0]["pictures"][0] == {
        "name": "IMG_1.png",
        "alt_text": "A beach\nat noon",
        "sha256": "a" * 64,
    }


def test_ratings_are_named(conversations: Conversations, messages: Messages) -> None:
    chat = conversations.create("Fruits")
    question = messages.add(chat.id, None, "user", "Name a fruit")
    good = messages.add(chat.id, question.id, "assistant", "Fig")
    bad = messages.add(chat.id, messages.add(chat.id, good.id, "user", "Another?").id, "assistant", "Brick")
    messages.rate(good.id, GOOD)
    messages.rate(bad.id, BAD)
    path = messages.path(chat.id)
    assert "## Assistant\n\nFig\n\n*Rated good.*\n" in export.to_markdown(chat, path)
    assert "Brick\n\n*Rated bad.*\n" in export.to_markdown(chat, path)
    ratings = [message["rating"] for message in json.loads(export.to_json(chat, path))["messages"]]
    assert ratings == [None, "good", None, "bad"]


def test_words_of_the_user_are_not_taken_for_the_models(conversations: Conversations, messages: Messages) -> None:
    chat = conversations.create("Chat")
    question = messages.add(chat.id, None, "user", "Why?")
    answer = messages.add(chat.id, question.id, "assistant", "Becuase.")
    messages.add_edited(answer.id, "Because.")
    path = messages.path(chat.id)
    assert export.to_markdown(chat, path).endswith("Because.\n\n*Edited by you.*\n")
    assert [message["edited"] for message in json.loads(export.to_json(chat, path))["messages"]] == [False, True]
