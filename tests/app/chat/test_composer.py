"""Check the keys and the size of the composer."""

import pytest
from PySide6.QtCore import QMimeData, Qt
from PySide6.QtWidgets import QPlainTextEdit, QPushButton
from pytestqt.qtbot import QtBot

from app.chat.composer import Composer
from app.theme import Theme


@pytest.fixture
def composer(qtbot: QtBot, theme: Theme) -> Composer:
    made = Composer(theme)
    qtbot.addWidget(made)
    made.resize(700, made.sizeHint().height())
    made.show()
    return made


def edit(composer: Composer) -> QPlainTextEdit:
    found = composer.findChild(QPlainTextEdit)
    assert found is not None
    return found


def test_enter_sends_and_shift_enter_breaks_the_line(qtbot: QtBot, composer: Composer) -> None:
    sent: list[str] = []
    composer.send_requested.connect(sent.append)
    qtbot.keyClick(edit(composer), Qt.Key.Key_Return)
    assert sent == []
    qtbot.keyClicks(edit(composer), "one")
    qtbot.keyClick(edit(composer), Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(edit(composer), "two")
    qtbot.keyClick(edit(composer), Qt.Key.Key_Return)
    assert sent == ["one\ntwo"]


def test_send_turns_into_stop(qtbot: QtBot, composer: Composer) -> None:
    heard: list[str] = []
    composer.send_requested.connect(lambda text: heard.append("send"))
    composer.stop_requested.connect(lambda: heard.append("stop"))
    composer.set_text("next question")
    composer.set_busy(True)
    qtbot.keyClick(edit(composer), Qt.Key.Key_Return)
    assert heard == []
    next(button for button in composer.findChildren(QPushButton) if button.text() == "Stop").click()
    qtbot.keyClick(edit(composer), Qt.Key.Key_Escape)
    assert heard == ["stop", "stop"]
    composer.set_busy(False)
    qtbot.keyClick(edit(composer), Qt.Key.Key_Return)
    assert heard[-1] == "send"


def test_up_goes_back_to_the_last_message_only_from_an_empty_box(qtbot: QtBot, composer: Composer) -> None:
    heard: list[bool] = []
    composer.edit_last_requested.connect(lambda: heard.append(True))
    composer.set_text("a")
    qtbot.keyClick(edit(composer), Qt.Key.Key_Up)
    assert heard == []
    composer.set_text("")
    qtbot.keyClick(edit(composer), Qt.Key.Key_Up)
    assert heard == [True]


def test_it_grows_with_the_text_up_to_ten_lines(composer: Composer) -> None:
    heights = []
    for lines in (1, 2, 5, 10, 11, 200):
        composer.set_text("\n".join(["line"] * lines))
        heights.append(edit(composer).height())
    assert heights[0] < heights[1] < heights[2] < heights[3] == heights[4] == heights[5]


def test_one_long_line_is_counted_as_it_is_shown(composer: Composer) -> None:
    composer.set_text("word " * 60)
    assert edit(composer).height() > edit(composer).fontMetrics().lineSpacing() * 3


def test_a_huge_paste_is_taken(composer: Composer) -> None:
    data = QMimeData()
    data.setText("x" * 200_000)
    edit(composer).insertFromMimeData(data)
    assert len(composer.text()) == 200_000
