"""See in the real window what becomes of a model whose graphics card fails, with a worker that dies of one."""

import sys
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from tests.app.window.conftest import Opener
from tests.app.window.test_chatting import button, path, type_and_send, visible_texts, wait_for_answer

WARM_UP = 1  # evaluations of one token while a model is loaded


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself this signal")
def test_an_answer_goes_on_and_the_card_can_be_tried_again(
    qtbot: QtBot, open_window: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "tests.helpers.gpu_worker", str(tmp_path / "gpu"), str(WARM_UP + 5)]
    monkeypatch.setattr("engine.client.python_command", lambda module: command)
    application = open_window()
    application.window.show()
    page = application.chat_page
    assert "Pretended GPU" in visible_texts(page.panel)
    assert "All 31 layers fit into 8.6 GB of free memory" in visible_texts(page.panel)
    type_and_send(qtbot, application, "Name three fruits.")
    answer = wait_for_answer(qtbot, application)
    assert answer.stats is not None
    assert answer.stats.finish_reason == "stop"
    assert answer.stats.notice is None
    assert len(answer.text) > 20
    assert [message.text for message in path(application)][-1] == answer.text
    qtbot.waitUntil(lambda: page.notes.isVisible(), timeout=60_000)
    assert "The graphics card failed, so the model runs on the processor." in visible_texts(page.notes)
    assert not any("layers" in text for text in visible_texts(page.panel))
    button(page.notes, "Try the graphics card").click()
    qtbot.waitUntil(lambda: "Pretended GPU" in visible_texts(page.panel), timeout=60_000)
    assert page.notes.isHidden()
