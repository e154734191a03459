"""Edit an answer in the real window, and go on from there."""

from PySide6.QtWidgets import QLabel, QPlainTextEdit, QPushButton
from pytestqt.qtbot import QtBot

from app.application import Application
from app.chat.answer_view import AnswerView
from tests.app.window.test_chatting import type_and_send, wait_for_answer


def answers(application: Application) -> list[AnswerView]:
    return [view for view in application.chat_page.transcript.findChildren(AnswerView) if view.isVisible()]


def test_an_answer_is_edited_and_the_chat_goes_on_from_it(qtbot: QtBot, application: Application) -> None:
    application.window.show()
    type_and_send(qtbot, application, "Name three fruits.")
    written = wait_for_answer(qtbot, application)
    [view] = answers(application)
    more = next(each for each in view.findChildren(QPushButton) if each.accessibleName() == "More about this answer")
    more.menu().actions()[0].trigger()
    field = view.findChild(QPlainTextEdit)
    assert field.toPlainText() == written.text
    assert field.hasFocus()
    field.setPlainText("My answer is 47.")
    next(each for each in view.findChildren(QPushButton) if each.text() == "Save as a version").click()
    edited = application.chat._path[-1]
    assert (edited.text, edited.version, edited.versions) == ("My answer is 47.", 2, 2)
    assert edited.edited_from == written.id
    qtbot.waitUntil(lambda: [each.text for each in answers(application)] == ["My answer is 47."])
    assert "edited by you" in [label.text() for label in answers(application)[0].findChildren(QLabel)]
    # The model is told the user's words, not its own.
    assert application.chat.current is not None
    assert [turn.content for turn in application.chat._turns(application.chat.current)][-1] == "My answer is 47."
    type_and_send(qtbot, application, "Which number was it?")
    assert wait_for_answer(qtbot, application).parent_id != written.id
    application.chat.switch_version(edited.id, -1)
    assert application.chat._path[-1].id == written.id
