"""Check that chosen chats become data, and only what is finished of them."""

import json
import shutil
from pathlib import Path

import pytest
from PySide6.QtWidgets import QCheckBox, QRadioButton

from app.storage.conversations import Conversations
from app.storage.database import open_database
from app.storage.messages import BAD, GOOD, AnswerStats, Messages
from app.storage.pictures import AttachedPicture
from app.storage.votes import Votes
from app.training.chat_data import ChatCounts, as_chat, count_chat, write_chats
from app.training.chats_dialog import ChatsDialog
from engine.data.from_chat import Chat
from engine.data.reader import DataFile
from engine.errors import EngineError
from engine.pictures.stored_picture import StoredPicture


@pytest.fixture
def storage(tmp_path):
    database = open_database(tmp_path / "phidelity.db")
    yield Conversations(database), Messages(database), Votes(database)
    database.close()


def read(storage, conversation) -> Chat:
    """Put a stored chat into the words of training data."""
    _, messages, votes = storage
    shown = {message.id for message in messages.path(conversation.id)}
    return as_chat(conversation, messages.all_of(conversation.id), shown, votes.of_chat(conversation.id))


def counts(chat: Chat) -> tuple[int, ...]:
    counted = count_chat(chat)
    return tuple(counted.of(kind) for kind in ("conversations", "edits", "preferences", "preferences and edits"))


def rows_of(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def add_versions(storage, *texts: str):
    """Make a chat with a question and versions of its answer, and return it with the numbers of the versions."""
    conversations, messages, _ = storage
    conversation = conversations.create("Lisbon")
    question = messages.add(conversation.id, None, "user", "How is Lisbon?")
    return conversation, [messages.add(conversation.id, question.id, "assistant", text).id for text in texts]


def add_chat(storage, title: str, reason: str = "stop") -> Chat:
    conversations, messages, _ = storage
    conversation = conversations.create(title, system_prompt="Be kind.")
    question = messages.add(conversation.id, None, "user", f"What about {title}?")
    answer = messages.add(conversation.id, question.id, "assistant", streaming=True)
    messages.append_text(answer.id, f"{title} is fine.")
    messages.finish(answer.id, AnswerStats(reason))
    return read(storage, conversation)


def test_chats_are_written_as_conversations(storage, tmp_path: Path) -> None:
    file = write_chats([add_chat(storage, "Lisbon"), add_chat(storage, "Oslo")], tmp_path / "datasets")
    rows = rows_of(file)
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


def test_votes_and_ratings_are_written_as_preferences(storage, tmp_path: Path) -> None:
    conversation, [first, second, third] = add_versions(storage, "Grey.", "Sunny.", "Mild.")
    storage[1].rate(first, BAD)
    storage[1].rate(second, GOOD)
    storage[2].add(third, second)
    storage[2].add(first, third, equal=True)
    chat = read(storage, conversation)
    assert counts(chat) == (1, 0, 2, 2)
    file = write_chats([chat], tmp_path, "preferences")
    rows = rows_of(file)
    pairs = {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows}
    assert pairs == {("Sunny.", "Grey."), ("Mild.", "Sunny.")}
    assert rows[0]["prompt"] == [{"role": "user", "content": "How is Lisbon?"}]


def test_pictures_come_with_their_chat_and_stay_when_it_goes(storage, tmp_path: Path) -> None:
    conversations, messages, _ = storage
    pictures = [
        AttachedPicture(StoredPicture(letter * 64, ".png", 4, 3, 757, 1921), tmp_path / "pictures", "a.png", "A")
        for letter in "abc"
    ]
    (tmp_path / "pictures").mkdir()
    for picture in pictures[:2]:
        picture.file.write_bytes(picture.stored.digest.encode())
    conversation = conversations.create("Boats")
    question = messages.add(conversation.id, None, "user", "Which is older?", pictures=pictures)
    messages.add(conversation.id, question.id, "assistant", "The first.")
    file = write_chats([read(storage, conversation)], tmp_path / "datasets")
    shutil.rmtree(tmp_path / "pictures")
    [example] = DataFile(file).items()
    # The one whose file is gone cannot be learned from.
    assert [Path(picture).read_bytes() for picture in example.messages[0].pictures] == [b"a" * 64, b"b" * 64]
    assert example.messages[0].content == "Which is older?"
    # What is written next takes its place, pictures too.
    write_chats([add_chat(storage, "Oslo")], tmp_path / "datasets")
    assert [path.name for path in (tmp_path / "datasets" / "my-chats-pictures").iterdir()] == []


def test_a_bad_answer_is_left_out_of_the_conversations(storage, tmp_path: Path) -> None:
    conversation, [first, _] = add_versions(storage, "Grey.", "Sunny.")
    assert counts(read(storage, conversation))[0] == 1
    storage[1].select_version(first)
    storage[1].rate(first, BAD)
    chat = read(storage, conversation)
    assert counts(chat) == (0, 0, 0, 0)
    for kind in ("conversations", "preferences"):
        with pytest.raises(EngineError) as caught:
            write_chats([chat], tmp_path, kind)
        assert caught.value.code == "input_invalid"


def test_no_chat_is_chosen_by_itself(qtbot, storage) -> None:
    add_chat(storage, "Lisbon")
    add_chat(storage, "Oslo")
    chats = storage[0].page(10)
    asked = []
    dialog = ChatsDialog(chats, lambda chat: asked.append(chat) or ChatCounts({"conversations": 1}))
    qtbot.addWidget(dialog)
    assert dialog.chosen == asked == []
    assert not dialog._use.isEnabled()
    dialog.choose(chats[1].id)
    assert dialog.chosen == asked == [chats[1].id]
    assert dialog._use.isEnabled()


def test_the_dialog_counts_both_kinds_of_what_is_chosen(qtbot, storage) -> None:
    plain = add_chat(storage, "Oslo").id
    conversation, [first, second] = add_versions(storage, "Grey.", "Sunny.")
    storage[2].add(second, first)
    dialog = ChatsDialog(storage[0].page(10), lambda chat: count_chat(read(storage, storage[0].get(chat))))
    qtbot.addWidget(dialog)
    dialog.choose(plain)
    dialog.choose_kind("preferences")
    assert not dialog._use.isEnabled()
    dialog.choose(conversation.id)
    assert dialog._use.isEnabled()
    assert dialog.kind == "preferences"
    texts = [button.text() for button in dialog.findChildren(QRadioButton)]
    assert texts == ["Conversations · 2", "Edited answers · 0", "Preferences · 1"]


def test_edits_become_data_by_choice_only(qtbot, storage, tmp_path: Path) -> None:
    conversation, [first] = add_versions(storage, "Grey.")
    storage[1].add_edited(first, "Sunny, mostly.")
    chat = read(storage, conversation)
    assert counts(chat) == (1, 1, 0, 1)
    [row] = rows_of(write_chats([chat], tmp_path, "edits"))
    assert [turn["content"] for turn in row["messages"]] == ["How is Lisbon?", "Sunny, mostly."]
    [row] = rows_of(write_chats([chat], tmp_path, "preferences and edits"))
    assert (row["chosen"][0]["content"], row["rejected"][0]["content"]) == ("Sunny, mostly.", "Grey.")
    dialog = ChatsDialog(storage[0].page(10), lambda chat: count_chat(read(storage, storage[0].get(chat))))
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.choose(conversation.id)
    edits = dialog.findChild(QCheckBox)
    assert (dialog.kind, edits.isChecked(), edits.isVisible()) == ("conversations", False, False)
    dialog.choose_kind("preferences")
    assert edits.isVisible() and not dialog._use.isEnabled()
    edits.click()
    assert dialog.kind == "preferences and edits" and dialog._use.isEnabled()
    assert edits.text().endswith("· 1")
    dialog.choose_kind("edits")
    assert dialog.kind == "edits" and not edits.isVisible()
