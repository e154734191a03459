"""Open the pictures of a chat large, and lose those that are gone or not needed any more."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.application import Application
from tests.app.window.conftest import Opener
from tests.app.window.pictures.steps import WAIT_MS, Maker, attach, send, texts, thumbnails, viewer, wait_for_answer


def test_a_click_opens_the_picture_and_keys_lead_on(
    qtbot: QtBot, application: Application, make_picture: Maker
) -> None:
    attach(qtbot, application, make_picture("a.png", (900, 600)), make_picture("b.png", (400, 500), "teal"))
    send(qtbot, application, "Compare.")
    wait_for_answer(qtbot, application)
    first, _ = thumbnails(application)
    first.setFocus()
    qtbot.keyClick(first, Qt.Key.Key_Space)
    shown = viewer()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is shown and QApplication.focusWidget() is not None)

    def press(key: Qt.Key) -> None:
        # Whatever has the focus, also a button.
        qtbot.keyClick(QApplication.focusWidget(), key)

    qtbot.waitUntil(lambda: shown.shown_size.toTuple() == (900, 600), timeout=WAIT_MS)
    press(Qt.Key.Key_Right)
    assert shown.index == 1
    qtbot.waitUntil(lambda: shown.shown_size.toTuple() == (400, 500), timeout=WAIT_MS)
    press(Qt.Key.Key_Right)
    assert shown.index == 1
    press(Qt.Key.Key_Home)
    assert shown.index == 0
    press(Qt.Key.Key_End)
    press(Qt.Key.Key_Left)
    assert shown.index == 0
    assert "1 of 2" in texts(shown)
    press(Qt.Key.Key_Escape)
    assert not shown.isVisible()


def test_a_picture_that_is_gone_from_the_disk_is_left_out_and_said(
    qtbot: QtBot, application: Application, make_picture: Maker
) -> None:
    attach(qtbot, application, make_picture())
    send(qtbot, application, "What is this?")
    wait_for_answer(qtbot, application)
    (picture,) = application.chat._path[0].pictures
    for path in (picture.file, picture.thumbnail, picture.view):
        path.unlink()
    send(qtbot, application, "And now?")
    answer = wait_for_answer(qtbot, application)
    assert answer.stats is not None
    assert answer.stats.finish_reason in ("stop", "length"), answer.stats.notice
    assert "no longer on the disk" in (answer.stats.notice or "")


def test_pictures_of_emptied_chats_are_gone_after_the_next_start(
    qtbot: QtBot, open_window: Opener, application: Application, make_picture: Maker
) -> None:
    attach(qtbot, application, make_picture())
    send(qtbot, application, "What is this?")
    wait_for_answer(qtbot, application)
    services = application.chat._services
    (picture,) = application.chat._path[0].pictures
    assert application.chat.current is not None
    services.conversations.delete(application.chat.current.id)
    application.chat.new_chat()
    application.shutdown()
    assert picture.file.exists()
    open_window(load=False)
    assert not any(path.exists() for path in (picture.file, picture.thumbnail, picture.view))
