"""Check the sentence at the foot of the window and the questions."""

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.notices import Notices


def test_a_sentence_with_undo(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(600, 400)
    window.show()
    notices = Notices(window)
    undone: list[bool] = []
    notices.say("Chat moved to the trash.", "Undo", lambda: undone.append(True))
    button = next(button for button in window.findChildren(QPushButton) if button.text() == "Undo")
    assert button.isVisible()
    button.click()
    assert undone == [True]
    assert not button.isVisible()


def test_confirm_needs_the_users_word(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    notices = Notices(window)

    def answer(text: str) -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        next(button for button in box.buttons() if button.text().replace("&", "") == text).click()

    QTimer.singleShot(50, lambda: answer("Delete"))
    assert notices.confirm("Delete it?", "It is gone then.", "Delete")
    QTimer.singleShot(50, lambda: answer("Cancel"))
    assert not notices.confirm("Delete it?", "It is gone then.", "Delete")
