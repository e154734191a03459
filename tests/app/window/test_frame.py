"""Check the keys, the pages and the sidebar of the window."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLineEdit, QListView, QPlainTextEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.application import Application
from app.chat.prose import ProseView
from app.paths import profile_paths
from app.storage.errors import StorageError
from tests.app.window.conftest import Opener

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def application(qtbot: QtBot, open_window: Opener) -> Application:
    opened = open_window(load=False)
    opened.window.show()
    qtbot.waitExposed(opened.window)
    opened.window.activateWindow()
    opened.chat_page.composer.take_focus()
    qtbot.waitUntil(lambda: isinstance(QApplication.focusWidget(), QPlainTextEdit))
    return opened


def press(qtbot: QtBot, key: Qt.Key, modifiers: Qt.KeyboardModifier = CTRL) -> None:
    focus = QApplication.focusWidget()
    assert focus is not None
    qtbot.keyClick(focus, key, modifiers)


def test_keys_lead_to_the_pages(qtbot: QtBot, application: Application) -> None:
    press(qtbot, Qt.Key.Key_2)
    assert application.others.models_page.isVisible()
    press(qtbot, Qt.Key.Key_3)
    assert application.others.training_page.isVisible()
    press(qtbot, Qt.Key.Key_Comma)
    assert application.others.settings_page.isVisible()
    press(qtbot, Qt.Key.Key_1)
    assert application.chat_page.isVisible()
    assert application.chat_page.composer.isAncestorOf(QApplication.focusWidget())


def test_keys_lead_to_search_and_composer(qtbot: QtBot, application: Application) -> None:
    press(qtbot, Qt.Key.Key_K)
    assert isinstance(QApplication.focusWidget(), QLineEdit)
    press(qtbot, Qt.Key.Key_L)
    assert isinstance(QApplication.focusWidget(), QPlainTextEdit)


def test_the_sidebar_hides_and_search_brings_it_back(qtbot: QtBot, application: Application) -> None:
    press(qtbot, Qt.Key.Key_B)
    assert not application.window.sidebar.isVisible()
    press(qtbot, Qt.Key.Key_K)
    assert application.window.sidebar.isVisible()


def test_text_grows_and_shrinks_and_is_remembered(qtbot: QtBot, application: Application) -> None:
    press(qtbot, Qt.Key.Key_Equal)
    press(qtbot, Qt.Key.Key_Equal)
    assert application.theme.scale == 1.2
    assert application.settings.values.text_scale == 1.2
    press(qtbot, Qt.Key.Key_Minus)
    assert application.theme.scale == 1.1
    press(qtbot, Qt.Key.Key_0)
    assert application.theme.scale == 1.0


def test_new_chat_leaves_the_draft_of_the_other_one(qtbot: QtBot, application: Application) -> None:
    conversations = application.chat._services.conversations
    chat = conversations.create("One")
    application.chat.open(chat.id)
    application.chat_page.composer.set_text("half a thought")
    press(qtbot, Qt.Key.Key_N)
    assert application.chat_page.composer.text() == ""
    application.chat.open(chat.id)
    assert application.chat_page.composer.text() == "half a thought"


def test_a_narrow_window_hides_the_panel(qtbot: QtBot, application: Application) -> None:
    application.window.resize(1280, 800)
    qtbot.waitUntil(lambda: application.chat_page.panel.isVisible())
    application.window.resize(1000, 640)
    qtbot.waitUntil(lambda: not application.chat_page.panel.isVisible())
    next(b for b in application.chat_page.findChildren(QPushButton) if b.text() == "System prompt").click()
    assert application.chat_page.panel.isVisible()


def test_every_control_has_a_name_and_is_reached_by_tab(qtbot: QtBot, application: Application) -> None:
    reached: set[QWidget] = set()
    start = QApplication.focusWidget()
    for _ in range(60):
        focus = QApplication.focusWidget()
        assert focus is not None
        if focus in reached:
            break
        reached.add(focus)
        name = focus.accessibleName() or getattr(focus, "text", lambda: "")()
        assert name, f"{focus} has no name"
        press(qtbot, Qt.Key.Key_Tab, Qt.KeyboardModifier.NoModifier)
    assert start in reached
    page = application.window
    buttons = [b for b in page.findChildren(QPushButton) if b.isVisible() and b.isEnabled()]
    assert [b.text() for b in buttons if b not in reached] == []


def test_the_profile_is_locked(application: Application, qapp: QApplication, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="already open"):
        Application(qapp, profile_paths(tmp_path / "profile"))


def test_a_search_leads_to_the_message(qtbot: QtBot, application: Application) -> None:
    services = application.chat._services
    chat = services.conversations.create("Long one")
    parent = None
    for number in range(60):
        words = "the needle is here" if number == 10 else f"message {number}\n\n" + "and more\n" * 4
        parent = services.messages.add(chat.id, parent, "user" if number % 2 == 0 else "assistant", words).id
    press(qtbot, Qt.Key.Key_K)
    search = QApplication.focusWidget()
    assert search is not None
    qtbot.keyClicks(search, "needle")
    view = application.chats.findChild(QListView)
    assert view is not None
    qtbot.waitUntil(lambda: view.model().rowCount() == 1)
    place = view.visualRect(view.model().index(0, 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert application.chat.current is not None
    assert application.chat.current.id == chat.id
    shown = [t for t in application.chat_page.transcript.findChildren(ProseView) if t.isVisible()]
    needle = next(t for t in shown if "needle" in t.toPlainText())
    assert 0 <= needle.mapTo(application.chat_page.transcript, needle.rect().topLeft()).y() < 100
