"""Check that chosen chats become data, and only what is finished of them."""

import json
from pathlib import Path

import pytest

from app.storage.conversations import Conversations
from app.storage.database import open_database
from app.storage.messages import AnswerStats, Messages
from app.training.chat_data import as_chat, write_chats
from app.training.chats_dialog import ChatsDialog
from engine.data.from_chat import Chat
from engine.errors import EngineError


@pytest.fixture
def storage(tmp_path):
    database = open_database(tmp_path / "phidelity.db")
    yield Conversations(database), Messages(database)
    database.close()


def add_chat(storage, title: str, reason: str = "stop") -> Chat:
    conversations, messages = storage
    conversation = conversations.create(title, system_prompt="Be kind.")
    question = messages.add(conversation.id, None, "user", f"What about {title}?")
    answer = messages.add(conversation.id, question.id, "assistant", streaming=True)
    messages.append_text(answer.id, f"{title} is fine.")
    messages.finish(answer.id, AnswerStats(reason))
    return as_chat(conversation, messages.path(conversation.id))


def test_chats_are_written_as_conversations(storage, tmp_path: Path) -> None:
    file = write_chats([add_chat(storage, "Lisbon"), add_chat(storage, "Oslo")], tmp_path / "datasets")
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [row["messages"][-1]["content"] for row in rows] == ["Lisbon is fine.", "Oslo is fine."]
    assert [turn["role"] for turn in rows[0]["messages"]] == ["system", "user", "assistant"]


def test_answers_that_were_cut_off_are_left_out(storage, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        write_chats([add_chat(storage, "Lisbon", "interrupted")], tmp_path)
    assert caught.value.code == "input_invalid"


def test_a_folder_that_cannot_be_written_is_named(storage, tmp_path: Path) -> None:
    (tmp_path / "in-the-way").touch()
    with pytest.raises(EngineError) as caught:
        write_chats([add_chat(storage, "Lisbon")], tmp_path / "in-the-way")
    assert caught.value.code == "disk_full"


def test_no_chat_is_chosen_by_itself(qtbot, storage) -> None:
    add_chat(storage, "Lisbon")
    add_chat(storage, "Oslo")
    chats = storage[0].page(10)
    dialog = ChatsDialog(chats)
    qtbot.addWidget(dialog)
    assert dialog.chosen == []
    assert not dialog._use.isEnabled()
    dialog.choose(chats[1].id)
    assert dialog.chosen == [chats[1].id]
    assert dialog._use.isEnabled()
