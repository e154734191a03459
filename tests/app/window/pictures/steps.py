"""Do with pictures in the window what a user does, and find what the user sees."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLabel, QPlainTextEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.application import Application
from app.chat.picture_chip import PictureChip
from app.chat.picture_thumbnail import PictureThumbnail
from app.chat.picture_viewer import PictureViewer
from app.storage.messages import Message

WAIT_MS = 60_000
Maker = Callable[..., Path]


def files(*paths: Path) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return data


def drag(target: QWidget, data: QMimeData) -> QDragEnterEvent:
    event = QDragEnterEvent(
        QPoint(50, 50), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(target, event)
    return event


def drop(target: QWidget, data: QMimeData) -> None:
    drag(target, data)
    event = QDropEvent(
        QPointF(50, 50), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(target, event)


def attach(qtbot: QtBot, application: Application, *paths: Path) -> None:
    drop(application.window, files(*paths))
    wait_for_intake(qtbot, application)


def wait_for_intake(qtbot: QtBot, application: Application) -> None:
    qtbot.waitUntil(lambda: not application.chat.pictures._arrivals, timeout=WAIT_MS)


def edit(application: Application) -> QPlainTextEdit:
    found = application.chat_page.composer.findChild(QPlainTextEdit)
    assert found is not None
    return found


def send(qtbot: QtBot, application: Application, text: str) -> None:
    qtbot.keyClicks(edit(application), text)
    qtbot.keyClick(edit(application), Qt.Key.Key_Return)


def wait_for_answer(qtbot: QtBot, application: Application) -> Message:
    qtbot.waitUntil(lambda: not application.chat._generations, timeout=WAIT_MS)
    return application.chat._path[-1]


def texts(widget: QWidget) -> list[str]:
    return [child.text() for kind in (QLabel, QPushButton) for child in widget.findChildren(kind) if child.isVisible()]


def chips(application: Application) -> list[PictureChip]:
    return [chip for chip in application.chat_page.composer.findChildren(PictureChip) if chip.isVisible()]


def thumbnails(application: Application) -> list[PictureThumbnail]:
    found = application.chat_page.transcript.findChildren(PictureThumbnail)
    return [thumbnail for thumbnail in found if thumbnail.isVisible()]


def button(widget: QWidget, name: str) -> QPushButton:
    found = widget.findChildren(QPushButton)
    return next(each for each in found if name in (each.text(), each.accessibleName()) and each.isVisible())


def viewer() -> PictureViewer:
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, PictureViewer) and w.isVisible())
