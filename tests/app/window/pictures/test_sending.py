"""Send pictures to the tiny vision model in the real window, through the real intake and worker."""

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.application import Application
from tests.app.window.pictures.steps import (
    WAIT_MS,
    Maker,
    attach,
    button,
    chips,
    drop,
    edit,
    files,
    send,
    texts,
    thumbnails,
    wait_for_answer,
    wait_for_intake,
)


def test_a_dropped_picture_is_answered_by_a_vision_model(
    qtbot: QtBot, application: Application, make_picture: Maker
) -> None:
    assert "vision" in texts(application.chat_page.top_bar)
    attach(qtbot, application, make_picture())
    (picture,) = application.chat.pictures.attached
    tokens = application.window.locale().toString(picture.stored.fast_tokens)
    assert f"{tokens} tokens for 1 picture" in texts(application.chat_page.composer)
    send(qtbot, application, "What is this?")
    assert chips(application) == []
    answer = wait_for_answer(qtbot, application)
    assert answer.stats is not None
    assert answer.stats.finish_reason in ("stop", "length"), answer.stats.notice
    assert answer.stats.prompt_tokens is not None
    assert answer.stats.prompt_tokens > picture.stored.fast_tokens
    question = application.chat._path[0]
    assert question.pictures == (picture,)
    (thumbnail,) = thumbnails(application)
    assert thumbnail.accessibleName() == "Picture: sunset.png"
    services = application.chat._services
    assert list(services.picture_cache.iterdir())


def test_send_waits_until_the_pictures_are_in(qtbot: QtBot, application: Application, make_picture: Maker) -> None:
    drop(application.window, files(make_picture()))
    send(qtbot, application, "What is this?")
    assert application.chat.current is None
    assert "Sends when the pictures are there" in texts(application.chat_page.composer)
    qtbot.waitUntil(lambda: application.chat.current is not None, timeout=WAIT_MS)
    answer = wait_for_answer(qtbot, application)
    assert answer.text or answer.stats
    assert [len(message.pictures) for message in application.chat._path] == [1, 0]
    assert edit(application).toPlainText() == ""


def test_esc_ends_the_wait_and_the_message_stays(qtbot: QtBot, application: Application, make_picture: Maker) -> None:
    drop(application.window, files(make_picture()))
    send(qtbot, application, "What is this?")
    qtbot.keyClick(edit(application), Qt.Key.Key_Escape)
    wait_for_intake(qtbot, application)
    assert application.chat.current is None
    assert edit(application).toPlainText() == "What is this?"
    assert len(chips(application)) == 1


def test_a_picture_alone_is_a_message(qtbot: QtBot, application: Application, make_picture: Maker) -> None:
    attach(qtbot, application, make_picture("cat.png"))
    qtbot.keyClick(edit(application), Qt.Key.Key_Return)
    answer = wait_for_answer(qtbot, application)
    assert answer.stats is not None
    assert answer.stats.finish_reason in ("stop", "length"), answer.stats.notice
    assert application.chat.current is not None
    assert application.chat.current.title == "cat.png"


def test_editing_keeps_the_pictures_and_regenerating_sends_them_again(
    qtbot: QtBot, application: Application, make_picture: Maker
) -> None:
    attach(qtbot, application, make_picture("a.png"), make_picture("b.png", color="teal"))
    send(qtbot, application, "Compare.")
    first = wait_for_answer(qtbot, application)
    button(application.chat_page.transcript, "Regenerate").click()
    second = wait_for_answer(qtbot, application)
    assert first.stats and second.stats
    assert second.stats.prompt_tokens == first.stats.prompt_tokens
    application.chat.edit(application.chat._path[0].id, "Describe.")
    wait_for_answer(qtbot, application)
    question = application.chat._path[0]
    assert (question.text, question.versions) == ("Describe.", 2)
    assert [picture.name for picture in question.pictures] == ["a.png", "b.png"]
    application.chat.switch_version(question.id, -1)
    assert application.chat._path[0].text == "Compare."
    assert len(thumbnails(application)) == 2


def test_the_detail_is_the_chats_own_and_changes_the_cost(
    qtbot: QtBot, application: Application, make_picture: Maker
) -> None:
    attach(qtbot, application, make_picture(size=(1000, 800)))
    (picture,) = application.chat.pictures.attached
    locale, composer = application.window.locale(), application.chat_page.composer
    assert "Fast · 4 crops ▾" in texts(composer)
    menu = button(composer, "Detail of pictures").menu()
    next(action for action in menu.actions() if action.text() == "Fine · 16 crops").trigger()
    assert f"{locale.toString(picture.stored.fine_tokens)} tokens for 1 picture" in texts(composer)
    send(qtbot, application, "What?")
    fine = wait_for_answer(qtbot, application)
    assert fine.stats and fine.stats.prompt_tokens
    assert fine.stats.prompt_tokens > picture.stored.fine_tokens
    assert application.chat.current is not None
    assert application.chat.current.sampling["picture_detail"] == "fine"
    # The panel's values do not take it away.
    application.chat_page.panel.sampling_changed.emit({"temperature": 0.5})
    assert application.chat.current.sampling["picture_detail"] == "fine"
    application.chat.new_chat()
    attach(qtbot, application, make_picture())
    assert "Fast · 4 crops ▾" in texts(composer)


def test_the_meter_counts_the_pictures_of_an_opened_chat(
    qtbot: QtBot, application: Application, make_picture: Maker
) -> None:
    attach(qtbot, application, make_picture())
    (picture,) = application.chat.pictures.attached
    send(qtbot, application, "What is this?")
    wait_for_answer(qtbot, application)
    chat = application.chat.current
    assert chat is not None
    application.chat.new_chat()
    application.chat.open(chat.id)
    meter = application.chat_page.top_bar.meter
    qtbot.waitUntil(lambda: meter.isVisible(), timeout=WAIT_MS)
    used = int("".join(filter(str.isdigit, meter.accessibleName().split("/")[0])))
    assert used > picture.stored.fast_tokens
