"""Check how a message with pictures is laid out."""

from pathlib import Path

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot

from app.chat.asks import TranscriptAsks
from app.chat.picture_strip import GAP, THUMBNAIL, height_of
from app.chat.picture_thumbnail import PictureThumbnail
from app.chat.prose import ProseView
from app.chat.user_view import UserView
from app.storage.messages import Message
from app.storage.pictures import AttachedPicture
from app.theme import Theme
from engine.pictures.stored_picture import StoredPicture

WIDTH = 720


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[AttachedPicture, ...]:
    made = []
    for letter, color in zip("abcdef", ("red", "green", "blue", "cyan", "magenta", "gray"), strict=True):
        stored = StoredPicture(letter * 64, ".png", 64, 48, 757, 1921)
        image = QImage(64, 48, QImage.Format.Format_RGB32)
        image.fill(getattr(Qt.GlobalColor, color))
        image.save(str(stored.thumbnail(tmp_path)))
        made.append(AttachedPicture(stored, tmp_path, f"{letter}.png", f"The {letter}"))
    return tuple(made)


@pytest.fixture
def parent(qtbot: QtBot) -> QWidget:
    made = QWidget()
    qtbot.addWidget(made)
    made.resize(WIDTH, 800)
    return made


def shown(parent: QWidget, theme: Theme, text: str, pictures: tuple[AttachedPicture, ...]) -> tuple[UserView, int]:
    message = Message(7, 1, None, "user", text, 0.0, False, None, pictures=pictures)
    view = UserView(theme, TranscriptAsks(parent), message, parent)
    height = view.height_for(WIDTH)
    view.setGeometry(0, 0, WIDTH, height)
    parent.show()
    return view, height


def thumbnails(view: UserView) -> list[PictureThumbnail]:
    return view.findChildren(PictureThumbnail)


def test_pictures_stand_above_the_text(parent: QWidget, theme: Theme, pictures: tuple[AttachedPicture, ...]) -> None:
    _, without = shown(parent, theme, "Which is older?", ())
    view, height = shown(parent, theme, "Which is older?", pictures[:2])
    assert height == without + THUMBNAIL.height() + GAP
    text = view.findChild(ProseView)
    assert text is not None
    first, second = thumbnails(view)
    below = first.mapTo(view, first.rect().bottomLeft()).y()
    assert below < text.mapTo(view, text.rect().topLeft()).y()
    assert second.x() == first.x() + THUMBNAIL.width() + GAP
    assert [each.accessibleName() for each in (first, second)] == ["Picture: The a", "Picture: The b"]


def test_a_message_of_pictures_alone_has_no_empty_line(
    parent: QWidget, theme: Theme, pictures: tuple[AttachedPicture, ...]
) -> None:
    view, height = shown(parent, theme, "", pictures)
    assert height == height_of(6, round(WIDTH * 0.8) - 40) + 20
    rows = {each.y() for each in thumbnails(view)}
    assert len(rows) == 2


def test_thumbnails_show_the_picture_and_ask_for_it_large(
    qtbot: QtBot, parent: QWidget, theme: Theme, pictures: tuple[AttachedPicture, ...]
) -> None:
    view, _ = shown(parent, theme, "Look", pictures[:3])
    opened: list[tuple[int, int]] = []
    view._asks.picture_opened.connect(lambda message, index: opened.append((message, index)))
    third = thumbnails(view)[2]
    middle = third.grab().toImage().pixelColor(third.width() // 2, third.height() // 2)
    assert (middle.red(), middle.green(), middle.blue()) == (0, 0, 255)
    qtbot.mouseClick(third, Qt.MouseButton.LeftButton)
    qtbot.keyClick(third, Qt.Key.Key_Space)
    assert opened == [(7, 2), (7, 2)]


def test_a_lost_thumbnail_keeps_its_place(parent: QWidget, theme: Theme, pictures: tuple[AttachedPicture, ...]) -> None:
    pictures[0].thumbnail.unlink()
    view, _ = shown(parent, theme, "Look", pictures[:1])
    (only,) = thumbnails(view)
    assert only.grab().size() == QSize(THUMBNAIL)


def test_editing_may_leave_the_pictures_alone(
    parent: QWidget, theme: Theme, pictures: tuple[AttachedPicture, ...]
) -> None:
    view, _ = shown(parent, theme, "Look", pictures[:2])
    submitted: list[tuple[int, str]] = []
    view._asks.edit_submitted.connect(lambda message, text: submitted.append((message, text)))
    view.begin_edit()
    assert view._editor is not None
    assert "The 2 pictures stay." in [label.text() for label in view._editor.findChildren(QLabel)]
    view._editor._text.setPlainText("")
    view._editor._submit()
    assert submitted == [(7, "")]
