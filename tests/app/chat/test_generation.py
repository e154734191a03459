"""Check that an answer is stored before it is shown, and that its waits and ends are told."""

from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from app.chat.generation import PATIENCE_MS, Generation
from app.engine_bridge import Answering, EngineBridge
from app.storage.conversations import Conversations
from app.storage.errors import StorageError
from app.storage.messages import Message, Messages
from engine.protocol import ChatResult, Done, Event, Failed, Load, Notice, Progress, Token
from tests.helpers.workers import ask, fake_worker

RESULT = ChatResult("stop", "one two", 5, 2, 2, 9, 64, 3.0, 4.0, 5.0, 40.0)


@pytest.fixture
def bridge(qtbot: QtBot) -> Iterator[EngineBridge]:
    made = EngineBridge(fake_worker("behaves"))
    yield made
    made.close()


@pytest.fixture
def answer(conversations: Conversations, messages: Messages) -> Message:
    chat = conversations.create("Chat")
    question = messages.add(chat.id, None, "user", "Go on.")
    return messages.add(chat.id, question.id, "assistant", streaming=True)


@pytest.fixture
def answering(bridge: EngineBridge) -> Answering:
    return Answering(bridge)


@pytest.fixture
def generation(bridge: EngineBridge, messages: Messages, answering: Answering, answer: Message) -> Generation:
    return Generation(bridge, messages, answering, answer.id)


def feed(answering: Answering, *events: Event) -> None:
    for event in events:
        answering.take(event)


def test_every_piece_is_stored_before_it_is_shown(
    qtbot: QtBot, generation: Generation, answering: Answering, messages: Messages, answer: Message
) -> None:
    shown: list[str] = []

    def check(message_id: int, text: str) -> None:
        shown.append(text)
        stored = messages.get(message_id)
        assert stored is not None
        assert stored.text == "".join(shown)

    generation.text_stored.connect(check)
    feed(answering, Token(1, "one "), Token(1, "t"), Token(1, "wo"))
    qtbot.waitUntil(lambda: "".join(shown) == "one two")
    assert shown == ["one ", "two"]
    with qtbot.waitSignal(generation.ended):
        feed(answering, Done(1, RESULT))
    stored = messages.get(answer.id)
    assert stored is not None
    assert stored.stats is not None
    assert (stored.text, stored.streaming, stored.stats.tokens_per_second) == ("one two", False, 40.0)


def test_a_wait_is_told_only_when_it_is_long(qtbot: QtBot, generation: Generation, answering: Answering) -> None:
    told: list[tuple[object, object]] = []
    generation.status_changed.connect(lambda _, sentence, fraction: told.append((sentence, fraction)))
    feed(answering, Progress(1, "prefill", 10, 100))
    assert told == []
    qtbot.waitUntil(lambda: bool(told), timeout=PATIENCE_MS * 20)
    feed(answering, Progress(1, "prefill", 40, 100), Progress(1, "prefill", 50, 100, 7.8))
    feed(answering, Progress(1, "reread", 1, 4), Progress(1, "reread", 2, 4, 12.4), Token(1, "x"))
    assert told == [
        ("Reading the conversation, 10 %", 0.1),
        ("Reading the conversation, 40 %", 0.4),
        ("Reading the conversation, 8 s left", 0.5),
        ("Long conversation: reading it again, 25 %", 0.25),
        ("Long conversation: reading it again, 12 s left", 0.5),
        (None, None),
    ]


def test_a_long_conversation_is_told_in_the_middle_of_an_answer_too(
    qtbot: QtBot, generation: Generation, answering: Answering
) -> None:
    told: list[object] = []
    shown: list[str] = []
    generation.status_changed.connect(lambda _, sentence, fraction: told.append((sentence, fraction)))
    generation.text_stored.connect(lambda _, text: shown.append(text))
    feed(answering, Token(1, "one"), Token(1, " two"), Progress(1, "reread", 0, 4096, 90.0))
    assert told == [(None, None)]
    qtbot.waitUntil(lambda: len(told) == 2, timeout=PATIENCE_MS * 20)
    assert "".join(shown) == "one two"
    feed(answering, Progress(1, "reread", 1024, 4096, 40.0), Token(1, "!"), Done(1, RESULT))
    assert told[1:] == [
        ("Long conversation: reading it again, about 2 min left", 0.0),
        ("Long conversation: reading it again, 40 s left", 0.25),
        (None, None),
    ]


def test_a_quick_second_reading_is_not_told(qtbot: QtBot, generation: Generation, answering: Answering) -> None:
    told: list[object] = []
    generation.status_changed.connect(lambda _, sentence, fraction: told.append(sentence))
    feed(answering, Token(1, "one"), Progress(1, "reread", 0, 300, 0.1), Progress(1, "reread", 300, 300, 0.0))
    feed(answering, Token(1, " two"))
    qtbot.wait(PATIENCE_MS + 100)
    feed(answering, Done(1, RESULT))
    assert told == [None, None]


def test_the_wait_for_pictures_is_told_in_crops_with_the_time_left(
    qtbot: QtBot, generation: Generation, answering: Answering
) -> None:
    told: list[tuple[object, object]] = []
    generation.status_changed.connect(lambda _, sentence, fraction: told.append((sentence, fraction)))
    feed(answering, Progress(1, "picture", 0.5, 10))
    qtbot.waitUntil(lambda: bool(told), timeout=PATIENCE_MS * 20)
    feed(answering, Progress(1, "picture", 4.0, 10, 21.4), Progress(1, "picture", 10, 10, 0.0))
    assert told == [
        ("Looking at the pictures, crop 1 of 10", 0.05),
        ("Looking at the pictures, crop 5 of 10, 21 s left", 0.4),
        ("Looking at the pictures, crop 10 of 10", 1.0),
    ]


def test_stop_works_while_pictures_are_looked_at(qtbot: QtBot, messages: Messages, answer: Message) -> None:
    bridge = EngineBridge(fake_worker("looks at pictures until cancelled"))
    bridge.load(Load("fake.gguf"))
    qtbot.waitUntil(lambda: bridge.state.kind == "ready", timeout=20_000)
    generation = Generation(bridge, messages, bridge.chat(ask("What is this?")), answer.id)
    with qtbot.waitSignal(generation.status_changed, timeout=20_000) as told:
        pass
    assert told.args == [answer.id, "Looking at the pictures, crop 3 of 10, 12 s left", 0.25]
    with qtbot.waitSignal(generation.ended, timeout=20_000):
        generation.stop()
    stored = messages.get(answer.id)
    assert stored is not None
    assert stored.stats is not None
    assert stored.stats.finish_reason == "cancelled"
    bridge.close()


def test_what_is_known_beforehand_is_kept_with_the_answer(
    qtbot: QtBot, bridge: EngineBridge, messages: Messages, answering: Answering, answer: Message
) -> None:
    Generation(bridge, messages, answering, answer.id, ["The model sees no pictures."])
    feed(answering, Token(1, "x"), Done(1, RESULT))
    stored = messages.get(answer.id)
    assert stored is not None
    assert stored.stats is not None
    assert stored.stats.notice == "The model sees no pictures."


def test_a_notice_is_told_at_once_and_kept(
    qtbot: QtBot, generation: Generation, answering: Answering, messages: Messages, answer: Message
) -> None:
    sentence = "The 2 oldest messages were left out."
    with qtbot.waitSignal(generation.noticed) as noticed:
        feed(answering, Notice(1, "turns_dropped", sentence, 2))
    assert noticed.args == [answer.id, sentence]
    with qtbot.waitSignal(generation.noticed) as noticed:
        feed(answering, Token(1, "one"), Notice(1, "approximate", "It is approximate from token 1,024 on."))
    sentence = f"{sentence} It is approximate from token 1,024 on."
    assert noticed.args == [answer.id, sentence]
    feed(answering, Failed(1, "worker_died", "The engine stopped.", "Try again."))
    stored = messages.get(answer.id)
    assert stored is not None
    assert stored.stats is not None
    assert stored.stats.finish_reason == "worker_died"
    assert stored.stats.notice == f"{sentence} The engine stopped. Try again."


def test_a_failed_gpu_is_told_above_the_messages_and_not_with_the_answer(
    qtbot: QtBot, generation: Generation, answering: Answering, messages: Messages, answer: Message
) -> None:
    with qtbot.waitSignal(generation.ended), qtbot.assertNotEmitted(generation.noticed):
        feed(answering, Token(1, "one"), Notice(1, "moved_to_processor", "The GPU failed."), Done(1, RESULT))
    stored = messages.get(answer.id)
    assert stored is not None
    assert stored.stats is not None
    assert stored.stats.notice is None


def test_a_full_disk_ends_the_answer_and_is_told(
    qtbot: QtBot,
    generation: Generation,
    answering: Answering,
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cancelled: list[bool] = []
    answering.on_cancel(lambda: cancelled.append(True))

    def fail(message_id: int, text: str) -> None:
        raise StorageError("disk_full", "The disk is full: the chat could not be saved.")

    monkeypatch.setattr(messages, "append_text", fail)
    shown: list[str] = []
    generation.text_stored.connect(lambda _, text: shown.append(text))
    with qtbot.waitSignal(generation.storage_failed):
        feed(answering, Token(1, "lost"))
    assert cancelled == [True]
    assert shown == []
    with qtbot.waitSignal(generation.ended):
        feed(answering, Done(1, RESULT))


def test_what_arrived_before_the_window_closes_is_kept(
    generation: Generation, answering: Answering, messages: Messages, answer: Message
) -> None:
    feed(answering, Token(1, "one "), Token(1, "two"))
    generation.abandon()
    feed(answering, Token(1, "three"))
    stored = messages.get(answer.id)
    assert stored is not None
    assert stored.stats is not None
    assert (stored.text, stored.stats.finish_reason) == ("one two", "interrupted")
