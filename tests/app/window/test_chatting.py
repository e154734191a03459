"""Chat in the real window with the Starter through the real worker."""

import time
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QLabel, QPlainTextEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.application import Application
from app.chat.answer_view import AnswerView
from app.storage.messages import Message
from tests.app.window.conftest import Opener

LONG = "Write a long story about a lighthouse keeper and the sea."


def path(application: Application) -> list[Message]:
    return application.chat._path


def composer(application: Application) -> QPlainTextEdit:
    found = application.chat_page.composer.findChild(QPlainTextEdit)
    assert found is not None
    return found


def type_and_send(qtbot: QtBot, application: Application, text: str) -> None:
    qtbot.keyClicks(composer(application), text)
    qtbot.keyClick(composer(application), Qt.Key.Key_Return)


def wait_for_answer(qtbot: QtBot, application: Application) -> Message:
    qtbot.waitUntil(lambda: not application.chat._generations, timeout=60_000)
    return path(application)[-1]


def wait_for_text(qtbot: QtBot, application: Application, letters: int) -> None:
    def written() -> bool:
        views = [view for view in application.chat_page.transcript.findChildren(AnswerView) if view.isVisible()]
        return bool(views) and len(views[-1].text) >= letters

    qtbot.waitUntil(written, timeout=60_000)


def visible_texts(widget: QWidget) -> list[str]:
    return [child.text() for kind in (QLabel, QPushButton) for child in widget.findChildren(kind) if child.isVisible()]


def button(widget: QWidget, text: str) -> QPushButton:
    return next(b for b in widget.findChildren(QPushButton) if b.text() == text and b.isVisible())


def test_the_starter_answers_what_is_typed(qtbot: QtBot, application: Application) -> None:
    page = application.chat_page
    assert "Chat with the Starter" in visible_texts(page)
    assert any("135 million" in text and "mistakes" in text for text in visible_texts(page))
    type_and_send(qtbot, application, "Name three fruits.")
    answer = wait_for_answer(qtbot, application)
    assert len(answer.text) > 10
    assert answer.stats is not None
    assert answer.stats.completion_tokens
    current = application.chat.current
    assert current is not None
    assert current.title == "Name three fruits."
    texts = visible_texts(page)
    assert any("tok/s · first token" in text for text in texts)
    assert any(text.endswith("/ 4,096 tokens") or text.endswith("/ 4096 tokens") for text in texts)
    second = "And three animals?"
    type_and_send(qtbot, application, second)
    answer = wait_for_answer(qtbot, application)
    assert answer.stats is not None
    assert answer.stats.cached_tokens
    assert [message.role for message in path(application)] == ["user", "assistant"] * 2


def test_stop_keeps_what_was_written(qtbot: QtBot, application: Application) -> None:
    application.settings.change(max_tokens=1000)
    type_and_send(qtbot, application, LONG)
    wait_for_text(qtbot, application, 40)
    button(application.chat_page.composer, "Stop").click()
    answer = wait_for_answer(qtbot, application)
    assert len(answer.text) >= 40
    assert answer.stats is not None
    assert answer.stats.finish_reason == "cancelled"
    assert "You stopped this answer." in visible_texts(application.chat_page)
    assert button(application.chat_page.composer, "Send")


def test_regenerate_and_edit_keep_every_version(qtbot: QtBot, application: Application) -> None:
    type_and_send(qtbot, application, "Name a colour.")
    first = wait_for_answer(qtbot, application)
    button(application.chat_page.transcript, "Regenerate").click()
    second = wait_for_answer(qtbot, application)
    assert (second.version, second.versions) == (2, 2)
    button(application.chat_page.transcript, "‹").click()
    assert path(application)[-1].id == first.id
    qtbot.keyClick(composer(application), Qt.Key.Key_Up)
    editor = application.chat_page.transcript.findChild(QPlainTextEdit)
    assert editor is not None
    editor.setPlainText("Name a number.")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    wait_for_answer(qtbot, application)
    question = path(application)[0]
    assert (question.text, question.version, question.versions) == ("Name a number.", 2, 2)
    application.chat.switch_version(question.id, -1)
    assert [message.text for message in path(application)] == ["Name a colour.", first.text]


def test_a_killed_worker_leaves_the_text_and_the_next_message_works(qtbot: QtBot, application: Application) -> None:
    application.settings.change(max_tokens=1000)
    type_and_send(qtbot, application, LONG)
    wait_for_text(qtbot, application, 40)
    worker = next(c for c in psutil.Process().children() if "engine.worker" in c.cmdline())
    worker.kill()
    answer = wait_for_answer(qtbot, application)
    assert len(answer.text) >= 40
    assert answer.stats is not None
    assert answer.stats.finish_reason == "worker_died"
    assert answer.stats.notice
    assert answer.stats.notice in visible_texts(application.chat_page)
    application.settings.change(max_tokens=20)
    type_and_send(qtbot, application, "Name three fruits.")
    answer = wait_for_answer(qtbot, application)
    assert answer.stats is not None
    assert answer.stats.finish_reason in ("stop", "length")
    assert answer.text


def test_a_new_window_shows_the_chat_and_the_draft_again(qtbot: QtBot, open_window: Opener) -> None:
    first = open_window()
    type_and_send(qtbot, first, "Name three fruits.")
    answer = wait_for_answer(qtbot, first)
    qtbot.keyClicks(composer(first), "not yet sent")
    first.chat._page.panel.findChild(QPlainTextEdit).setPlainText("Be brief.")
    first.shutdown()
    second = open_window(load=False)
    second.window.show()
    assert [message.text for message in path(second)] == ["Name three fruits.", answer.text]
    assert composer(second).toPlainText() == "not yet sent"
    assert second.chat.current is not None
    assert second.chat.current.system_prompt == "Be brief."


def test_closing_in_the_middle_keeps_everything_shown(qtbot: QtBot, open_window: Opener) -> None:
    first = open_window()
    first.settings.change(max_tokens=1000)
    type_and_send(qtbot, first, LONG)
    wait_for_text(qtbot, first, 40)
    shown = [v.text for v in first.chat_page.transcript.findChildren(AnswerView) if v.isVisible()][-1]
    first.shutdown()
    assert not [c for c in psutil.Process().children() if "engine.worker" in c.cmdline()]
    second = open_window(load=False)
    second.window.show()
    assert path(second)[-1].text.startswith(shown)
    assert any("cut off" in text for text in visible_texts(second.chat_page))


def test_chats_are_found_moved_to_the_trash_and_brought_back(qtbot: QtBot, application: Application) -> None:
    type_and_send(qtbot, application, "Name three fruits.")
    wait_for_answer(qtbot, application)
    current = application.chat.current
    assert current is not None
    application.chat.actions.delete(current.id)
    assert application.chat.current is None
    button(application.window, "Undo").click()
    assert application.chat.current is not None
    assert application.chat.current.id == current.id


def test_a_chat_is_written_as_markdown(qtbot: QtBot, application: Application, tmp_path: Path) -> None:
    type_and_send(qtbot, application, "Name three fruits.")
    answer = wait_for_answer(qtbot, application)
    current = application.chat.current
    assert current is not None
    application.chat.actions.export_to(current.id, tmp_path / "chat.md")
    text = (tmp_path / "chat.md").read_text("utf-8")
    assert text.startswith("# Name three fruits.")
    assert answer.text.strip() in text
    application.chat.actions.export_to(current.id, tmp_path / "no" / "chat.md")
    assert any("could not be written" in text for text in visible_texts(application.window))


def test_without_a_model_the_next_message_loads_one(qtbot: QtBot, application: Application) -> None:
    application.bridge.unload()
    qtbot.waitUntil(lambda: application.bridge.state.kind == "none")
    type_and_send(qtbot, application, "Name three fruits.")
    answer = wait_for_answer(qtbot, application)
    assert answer.text
    assert application.bridge.state.kind == "ready"


def test_a_model_that_cannot_be_loaded_is_told_in_place(qtbot: QtBot, application: Application, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    application.chat.models.load(str(broken))
    qtbot.waitUntil(lambda: application.bridge.state.kind == "failed", timeout=60_000)
    assert button(application.chat_page.trouble, "Open Models")
    type_and_send(qtbot, application, "Name three fruits.")
    answer = wait_for_answer(qtbot, application)
    assert answer.stats is not None
    assert answer.stats.finish_reason == "no_model"
    button(application.chat_page.transcript, "Open Models").click()
    assert application.others.models_page.isVisible()


def test_two_chats_at_once_do_not_mix(qtbot: QtBot, application: Application) -> None:
    type_and_send(qtbot, application, LONG)
    wait_for_text(qtbot, application, 20)
    first = application.chat.current
    application.window.new_chat_requested.emit()
    type_and_send(qtbot, application, "Name three fruits.")
    qtbot.waitUntil(lambda: not application.chat._generations, timeout=60_000)
    second = application.chat.current
    assert first is not None
    assert second is not None
    assert second.id != first.id
    fruits = path(application)[-1].text
    application.chat.open(first.id)
    story = path(application)[-1].text
    assert story
    assert fruits
    assert story != fruits
    views = [view.text for view in application.chat_page.transcript.findChildren(AnswerView) if view.isVisible()]
    assert views == [story]


def test_the_window_stays_responsive_while_it_loads_and_answers(
    qtbot: QtBot, open_window: Opener, capsys: pytest.CaptureFixture[str]
) -> None:
    gaps: list[float] = []
    last = time.perf_counter()

    def beat() -> None:
        nonlocal last
        now = time.perf_counter()
        gaps.append(now - last)
        last = now

    timer = QTimer(interval=5)
    timer.timeout.connect(beat)
    application = open_window(load=False)
    timer.start()
    application.start()
    qtbot.waitUntil(lambda: application.bridge.state.kind == "ready", timeout=60_000)
    type_and_send(qtbot, application, "Write a Python function that adds two numbers.")
    wait_for_answer(qtbot, application)
    timer.stop()
    gaps.sort()
    with capsys.disabled():
        longest, high = gaps[-1] * 1000, gaps[len(gaps) * 99 // 100] * 1000
        print(f"\nGUI thread: longest gap {longest:.0f} ms, 99 % below {high:.0f} ms")
    assert len(gaps) > 20
