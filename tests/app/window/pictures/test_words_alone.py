"""Chat about pictures with a model that sees none."""

from pathlib import Path

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.application import Application
from converter.convert import ConversionResult
from tests.app.window.pictures.steps import WAIT_MS, Maker, attach, button, edit, send, texts, wait_for_answer


def test_a_model_without_eyes_says_so_and_offers_one_that_has_them(
    qtbot: QtBot, starter_window: Application, make_picture: Maker, vision_model: ConversionResult
) -> None:
    application, composer = starter_window, starter_window.chat_page.composer
    attach(qtbot, application, make_picture())
    assert any(text.startswith("Starter sees no pictures. Remove them") for text in texts(composer))
    send(qtbot, application, "What is this?")
    assert application.chat.current is None
    assert edit(application).toPlainText() == "What is this?"
    button(composer, "Import a vision model").click()
    assert application.others.models_page.isVisible()
    application.others._models.add_in_place(vision_model.path)
    application.window.show_page("chat")
    qtbot.waitUntil(lambda: application.chat.models.vision_choice() is not None, timeout=WAIT_MS)
    button(composer, "Switch to Tiny vision").click()
    assert not composer.no_vision.isVisible()
    qtbot.keyClick(edit(application), Qt.Key.Key_Return)
    answer = wait_for_answer(qtbot, application)
    assert application.bridge.state.path == str(vision_model.path)
    assert answer.stats is not None
    assert answer.stats.finish_reason in ("stop", "length"), answer.stats.notice


def test_a_chat_with_pictures_goes_on_in_words_and_says_so(
    qtbot: QtBot, application: Application, make_picture: Maker, starter: Path
) -> None:
    attach(qtbot, application, make_picture())
    send(qtbot, application, "What is this?")
    wait_for_answer(qtbot, application)
    application.chat.models.load(str(starter))
    qtbot.waitUntil(lambda: application.bridge.state.kind == "ready", timeout=WAIT_MS)
    composer = application.chat_page.composer
    assert any("reads only the words" in text for text in texts(composer))
    send(qtbot, application, "Name three fruits.")
    answer = wait_for_answer(qtbot, application)
    assert answer.stats is not None
    assert answer.stats.finish_reason in ("stop", "length")
    assert "to the words alone" in (answer.stats.notice or "")
    assert any("to the words alone" in text for text in texts(application.chat_page.transcript))
