"""Check when the editor of a message hands over what was written."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPlainTextEdit, QWidget
from pytestqt.qtbot import QtBot

from app.chat.message_editor import MessageEditor

CONTROL, NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def parent(qtbot: QtBot) -> QWidget:
    made = QWidget()
    qtbot.addWidget(made)
    return made


@pytest.mark.parametrize(
    ("enter_submits", "modifier", "submits"),
    [(True, NONE, True), (True, SHIFT, False), (True, CONTROL, True), (False, NONE, False), (False, CONTROL, True)],
)
def test_keys(qtbot: QtBot, parent: QWidget, enter_submits: bool, modifier: object, submits: bool) -> None:
    editor = MessageEditor("Hello", "Edit", "Send", parent, enter_submits=enter_submits)
    told: list[str] = []
    editor.submitted.connect(told.append)
    qtbot.keyClick(editor.findChild(QPlainTextEdit), Qt.Key.Key_Return, modifier)
    assert told == (["Hello"] if submits else [])


def test_nothing_is_sent_only_where_it_may_be(qtbot: QtBot, parent: QWidget) -> None:
    for may_be_empty in (False, True):
        editor = MessageEditor(" ", "Edit", "Send", parent, may_be_empty=may_be_empty)
        told: list[str] = []
        editor.submitted.connect(told.append)
        editor._submit()
        assert told == ([""] if may_be_empty else [])
