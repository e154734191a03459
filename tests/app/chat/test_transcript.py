"""Check that a long chat is shown piece by piece and that the reader is never moved."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPlainTextEdit, QPushButton
from pytestqt.qtbot import QtBot

from app.chat.prose import ProseView
from app.chat.transcript import TranscriptView
from app.storage.messages import AnswerStats, Message
from app.theme import Theme

STATS = AnswerStats("stop", None, 1, 1, 1, 10.0, 100.0)


def chat(count: int) -> list[Message]:
    made = []
    for number in range(1, count + 1):
        if number % 2:
            made.append(Message(number, 1, number - 1 or None, "user", f"Question {number}", 0.0, False, None))
        else:
            text = f"Answer {number}. " + "It goes on and on over several lines. " * (number % 17)
            made.append(Message(number, 1, number - 1, "assistant", text, 0.0, False, STATS))
    return made


@pytest.fixture
def transcript(qtbot: QtBot, theme: Theme) -> TranscriptView:
    view = TranscriptView(theme)
    qtbot.addWidget(view)
    view.resize(760, 500)
    view.show()
    return view


def built(transcript: TranscriptView) -> list[int]:
    return [row.message.id for row in transcript._rows if row.view is not None]


def top_of(transcript: TranscriptView, message_id: int) -> int:
    view = next(row.view for row in transcript._rows if row.message.id == message_id)
    assert view is not None
    return view.y()


def test_a_long_chat_is_built_only_near_its_end(transcript: TranscriptView) -> None:
    transcript.set_messages(chat(2000))
    assert len(built(transcript)) < 30
    assert 2000 in built(transcript)
    bar = transcript.verticalScrollBar()
    assert bar.value() == bar.maximum()


def test_scrolling_builds_what_comes_near_and_drops_what_is_far(qtbot: QtBot, transcript: TranscriptView) -> None:
    transcript.set_messages(chat(200))
    bar = transcript.verticalScrollBar()
    seen: set[int] = set()
    while bar.value() > 0:
        bar.setValue(bar.value() - 400)
        qtbot.wait(1)
        seen.update(built(transcript))
        assert len(built(transcript)) < 30
    assert 1 in built(transcript)
    assert len(seen) > 190


def test_learning_true_heights_never_moves_what_is_read(transcript: TranscriptView) -> None:
    transcript.set_messages(chat(200))
    bar = transcript.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    anchor = next(m for m in built(transcript) if 0 < top_of(transcript, m) < 400)
    for _ in range(10):
        before = top_of(transcript, anchor)
        bar.setValue(bar.value() - 7)
        assert top_of(transcript, anchor) == before + 7


def test_the_view_follows_the_stream_only_at_the_end(qtbot: QtBot, transcript: TranscriptView) -> None:
    streaming = Message(99, 1, 40, "assistant", "", 0.0, True, None)
    transcript.set_messages([*chat(40), streaming])
    bar = transcript.verticalScrollBar()
    for _ in range(20):
        transcript.append_text(99, "A line that is added.\n\n")
        assert bar.value() == bar.maximum()
    bar.setValue(bar.maximum() - 300)
    value = bar.value()
    for _ in range(20):
        transcript.append_text(99, "A line that is added.\n\n")
    assert bar.value() == value
    jump = next(b for b in transcript.findChildren(QPushButton) if b.text() == "Jump to latest")
    assert jump.isVisible()
    jump.click()
    assert bar.value() == bar.maximum()
    assert not jump.isVisible()
    transcript.update_message(Message(99, 1, 40, "assistant", "Short.", 0.0, False, STATS))
    qtbot.wait(10)
    assert bar.value() == bar.maximum()


def test_an_answer_that_streams_out_of_sight_is_whole_when_seen_again(transcript: TranscriptView) -> None:
    streaming = Message(999, 1, 100, "assistant", "", 0.0, True, None)
    transcript.set_messages([*chat(100), streaming])
    transcript.verticalScrollBar().setValue(0)
    for number in range(50):
        transcript.append_text(999, f"word{number} ")
    transcript.jump_to_latest()
    row = transcript._rows[-1]
    assert row.view is not None
    assert row.view.text == "".join(f"word{number} " for number in range(50))  # type: ignore[union-attr]


def test_edit_opens_the_question_of_an_answer(qtbot: QtBot, transcript: TranscriptView) -> None:
    transcript.set_messages(chat(6))
    transcript.asks.edit_requested.emit(6)
    editor = transcript.findChild(QPlainTextEdit)
    assert editor is not None
    assert editor.toPlainText() == "Question 5"
    editor.setPlainText("Another question")
    with qtbot.waitSignal(transcript.asks.edit_submitted) as submitted:
        qtbot.keyClick(editor, Qt.Key.Key_Return)
    assert submitted.args == [5, "Another question"]


def test_esc_leaves_the_editor(qtbot: QtBot, transcript: TranscriptView) -> None:
    transcript.set_messages(chat(2))
    transcript.edit_question_of(1)
    editor = transcript.findChild(QPlainTextEdit)
    assert editor is not None
    qtbot.keyClick(editor, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: transcript.findChild(QPlainTextEdit) is None)


def test_other_messages_keep_the_widgets_of_those_that_stay(transcript: TranscriptView) -> None:
    transcript.set_messages(chat(6))
    kept = transcript._rows[0].view
    transcript.set_messages(chat(4))
    assert transcript._rows[0].view is kept
    assert [row.message.id for row in transcript._rows] == [1, 2, 3, 4]
    transcript.set_messages([])
    assert built(transcript) == []


def test_text_of_another_size_is_measured_again(qtbot: QtBot, transcript: TranscriptView, theme: Theme) -> None:
    transcript.set_messages(chat(10))
    before = transcript._rows[-1].height
    theme.set_scale(1.6)
    qtbot.waitUntil(lambda: transcript._rows[-1].height > before)
    theme.reset_scale()


@pytest.mark.parametrize("text", ["x" * 300_000, "word " * 100_000, "a\n" * 50_000], ids=["word", "words", "lines"])
def test_a_huge_message_does_not_stop_the_window(transcript: TranscriptView, text: str) -> None:
    transcript.set_messages([Message(1, 1, None, "user", text, 0.0, False, None)])
    assert built(transcript) == [1]
    shown = transcript.findChild(ProseView)
    assert shown is not None
    assert shown.toPlainText().endswith("more characters")


def test_an_answer_of_one_endless_word_is_shown(transcript: TranscriptView) -> None:
    transcript.set_messages([Message(1, 1, None, "assistant", "ha" * 20_000, 0.0, False, STATS)])
    shown = transcript.findChild(ProseView)
    assert shown is not None
    assert len(shown.toPlainText()) == 40_000
