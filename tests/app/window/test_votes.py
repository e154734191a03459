"""Rate and compare answers in the real window."""

from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.application import Application
from app.chat.compare_dialog import CompareDialog
from app.storage.errors import StorageError
from app.storage.messages import BAD, GOOD, UNRATED
from tests.app.window.conftest import Opener
from tests.app.window.test_chatting import button, path, type_and_send, visible_texts, wait_for_answer


def open_chat(application: Application, *texts: str) -> list[int]:
    """Show a chat with versions of one answer, and return their numbers."""
    services = application.chat._services
    chat = services.conversations.create("Lisbon").id
    question = services.messages.add(chat, None, "user", "How is Lisbon?").id
    versions = [services.messages.add(chat, question, "assistant", text).id for text in texts]
    application.window.show()
    application.chat.open(chat)
    return versions


def named(application: Application, name: str) -> QPushButton:
    transcript = application.chat_page.transcript
    return next(b for b in transcript.findChildren(QPushButton) if b.accessibleName() == name and b.isVisible())


def test_an_answer_is_rated_and_the_rating_taken_back(open_window: Opener) -> None:
    application = open_window(load=False)
    [answer] = open_chat(application, "Sunny.")
    services = application.chat._services
    good, bad = (named(application, f"Rate this answer as {word}") for word in ("good", "bad"))
    good.click()
    assert services.messages.path(path(application)[0].conversation_id)[-1].rating == GOOD
    assert good.isChecked() and not bad.isChecked()
    bad.click()
    assert path(application)[-1].rating == BAD
    assert bad.isChecked() and not good.isChecked()
    bad.click()
    found = services.messages.get(answer)
    assert found is not None and found.rating == UNRATED
    assert not good.isChecked() and not bad.isChecked()


def test_a_rating_that_cannot_be_stored_is_not_shown(open_window: Opener, monkeypatch) -> None:
    application = open_window(load=False)
    open_chat(application, "Sunny.")
    services = application.chat._services
    told: list[Exception] = []
    monkeypatch.setattr(services.notices, "show_error", told.append)

    def fail(*_: object) -> None:
        raise StorageError("disk_full", "The disk is full.")

    monkeypatch.setattr(services.messages, "rate", fail)
    good = named(application, "Rate this answer as good")
    good.click()
    assert len(told) == 1
    assert not good.isChecked()


def test_two_versions_are_compared_and_the_vote_is_kept(qtbot: QtBot, open_window: Opener) -> None:
    application = open_window(load=False)
    versions = open_chat(application, "Grey.", "Sunny.")
    button(application.chat_page.transcript, "Compare").click()
    [dialog] = application.chat_page.findChildren(CompareDialog)
    left = dialog._left._message.id
    button(dialog, "Left is better").click()
    assert "You found the left answer better." in visible_texts(dialog)
    [vote] = application.chat._services.votes.of_chat(path(application)[0].conversation_id)
    assert vote.chosen_id == left
    assert {vote.chosen_id, vote.rejected_id} == set(versions)
    assert vote.blind and not vote.equal
    button(dialog, "Close").click()
    qtbot.waitUntil(lambda: not application.chat_page.findChildren(CompareDialog))


def test_a_single_version_offers_no_comparison(open_window: Opener) -> None:
    application = open_window(load=False)
    [answer] = open_chat(application, "Sunny.")
    assert "Compare" not in visible_texts(application.chat_page.transcript)
    assert application.chat.judgement.compare(answer) is None


def test_an_answer_keeps_what_it_was_made_with(qtbot: QtBot, application: Application) -> None:
    type_and_send(qtbot, application, "Name three fruits.")
    answer = wait_for_answer(qtbot, application)
    assert answer.made_with["temperature"] == 0.0
    assert answer.stats is not None and (answer.stats.model or "").startswith("Starter")
