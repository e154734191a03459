"""Describe, remove and keep pictures that are not yet sent."""

from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from app.application import Application
from tests.app.window.conftest import Opener
from tests.app.window.pictures.steps import (
    Maker,
    attach,
    button,
    chips,
    drop,
    edit,
    files,
    send,
    thumbnails,
    wait_for_answer,
    wait_for_intake,
)


def test_pictures_are_removed_and_described_in_the_composer(
    qtbot: QtBot, application: Application, make_picture: Maker
) -> None:
    attach(qtbot, application, make_picture("a.png"), make_picture("b.png", color="teal"))
    composer = application.chat_page.composer
    button(composer, "Remove a.png").click()
    (chip,) = chips(application)
    field = chip.findChild(QLineEdit)
    assert field is not None
    assert field.accessibleName() == "Description of b.png"
    field.selectAll()
    qtbot.keyClicks(field, "A teal square")
    send(qtbot, application, "What?")
    wait_for_answer(qtbot, application)
    (picture,) = application.chat._path[0].pictures
    assert (picture.name, picture.alt_text) == ("b.png", "A teal square")
    assert thumbnails(application)[0].accessibleName() == "Picture: A teal square"


def test_removing_a_picture_on_its_way_ends_its_intake(
    qtbot: QtBot, application: Application, make_picture: Maker
) -> None:
    drop(application.window, files(make_picture()))
    button(application.chat_page.composer, "Remove sunset.png").click()
    assert application.chat.pictures._arrivals == {}
    qtbot.wait(50)
    assert chips(application) == []


def test_a_draft_with_pictures_survives_a_restart(
    qtbot: QtBot, open_window: Opener, application: Application, make_picture: Maker
) -> None:
    attach(qtbot, application, make_picture())
    qtbot.keyClicks(edit(application), "not yet sent")
    application.shutdown()
    second = open_window(load=False)
    second.window.show()
    assert second.chat.current is None
    assert edit(second).toPlainText() == "not yet sent"
    (picture,) = second.chat.pictures.attached
    assert picture.stored.is_whole(picture.folder)
    assert len(chips(second)) == 1


def test_a_picture_that_arrives_late_goes_to_the_chat_it_was_for(
    qtbot: QtBot, application: Application, make_picture: Maker
) -> None:
    services = application.chat._services
    chat, other = services.conversations.create("One"), services.conversations.create("Other")
    application.chat.open(chat.id)
    drop(application.window, files(make_picture()))
    application.chat.open(other.id)
    assert chips(application) == []
    wait_for_intake(qtbot, application)
    assert application.chat.pictures.attached == ()
    application.chat.open(chat.id)
    assert [picture.name for picture in application.chat.pictures.attached] == ["sunset.png"]
