"""Drop and paste pictures, and what is none, anywhere in the real window."""

import io
from pathlib import Path

from PIL import Image
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QDragLeaveEvent, QGuiApplication, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.application import Application
from app.window.drop_overlay import DropOverlay
from tests.app.window.pictures.steps import (
    Maker,
    attach,
    button,
    drag,
    drop,
    edit,
    files,
    send,
    texts,
    wait_for_intake,
)


def test_screenshots_and_files_are_pasted(qtbot: QtBot, application: Application, make_picture: Maker) -> None:
    image = QImage(64, 48, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.darkCyan)
    clipboard = QGuiApplication.clipboard()
    clipboard.setImage(image)
    edit(application).paste()
    wait_for_intake(qtbot, application)
    (pasted,) = application.chat.pictures.attached
    assert (pasted.stored.width, pasted.stored.height, pasted.name) == (64, 48, "Pasted picture")
    clipboard.setMimeData(files(make_picture("holiday.png")))
    edit(application).paste()
    wait_for_intake(qtbot, application)
    assert [picture.name for picture in application.chat.pictures.attached] == ["Pasted picture", "holiday.png"]
    clipboard.setText("only words")
    edit(application).paste()
    assert edit(application).toPlainText() == "only words"


def test_bytes_from_a_browser_are_kept_as_they_are(qtbot: QtBot, application: Application) -> None:
    file = io.BytesIO()
    Image.new("RGB", (50, 40), "purple").save(file, "WEBP")
    data = QMimeData()
    data.setUrls([QUrl("https://example.org/purple.webp")])
    data.setData("image/webp", file.getvalue())
    data.setText("https://example.org/purple.webp")
    drop(application.window, data)
    wait_for_intake(qtbot, application)
    (picture,) = application.chat.pictures.attached
    assert picture.stored.suffix == ".webp"
    assert picture.file.read_bytes() == file.getvalue()


def test_an_address_without_its_picture_is_refused_with_the_way_out(application: Application) -> None:
    data = QMimeData()
    data.setUrls([QUrl("https://example.org/purple.png")])
    drop(application.window, data)
    assert any("save the picture first" in text for text in texts(application.chat_page.composer))


def test_what_is_no_picture_is_refused_in_place_and_the_rest_stays(
    qtbot: QtBot, application: Application, make_picture: Maker, tmp_path: Path
) -> None:
    letter, cut = tmp_path / "letter.pdf", tmp_path / "cut.png"
    letter.write_text("%PDF-1.7")
    cut.write_bytes(make_picture("whole.png", (400, 400)).read_bytes()[:200])
    application.chat_page.composer.set_text("Look")
    attach(qtbot, application, make_picture(), letter)
    composer = application.chat_page.composer
    assert any("letter.pdf is not a picture" in text and "PNG, JPEG" in text for text in texts(composer))
    assert [picture.name for picture in application.chat.pictures.attached] == ["sunset.png"]
    attach(qtbot, application, cut)
    assert any(text.startswith("cut.png is damaged") for text in texts(composer))
    button(composer, "Dismiss").click()
    assert not any("cut.png" in text for text in texts(composer))
    assert composer.text() == "Look"


def test_a_message_is_not_sent_without_a_picture_that_failed(
    qtbot: QtBot, application: Application, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG")
    drop(application.window, files(broken))
    send(qtbot, application, "What is this?")
    wait_for_intake(qtbot, application)
    assert application.chat.current is None
    assert edit(application).toPlainText() == "What is this?"


def test_the_overlay_shows_where_to_drop(qtbot: QtBot, application: Application, make_picture: Maker) -> None:
    overlay = application.window.findChild(DropOverlay)
    assert overlay is not None
    assert drag(application.window, files(make_picture())).isAccepted()
    assert overlay.isVisible()
    assert overlay.size() == application.window.size()
    # What lies below stays the target of the drag.
    assert application.window.childAt(200, 200) is not overlay
    QApplication.sendEvent(application.window, QDragLeaveEvent())
    assert not overlay.isVisible()
    words = QMimeData()
    words.setText("only words")
    assert not drag(application.window, words).isAccepted()
    assert not overlay.isVisible()


def test_pictures_are_dropped_on_every_page_and_shown_in_the_chat(
    qtbot: QtBot, application: Application, make_picture: Maker
) -> None:
    application.window.show_page("models")
    page = application.others.models_page
    event = drag(page, files(make_picture()))
    assert event.isAccepted()
    drop(page, files(make_picture()))
    assert application.chat_page.isVisible()
    wait_for_intake(qtbot, application)
    assert len(application.chat.pictures.attached) == 1


def test_a_file_over_the_text_is_attached_not_written(
    qtbot: QtBot, application: Application, make_picture: Maker
) -> None:
    drop(edit(application).viewport(), files(make_picture()))
    wait_for_intake(qtbot, application)
    assert edit(application).toPlainText() == ""
    assert len(application.chat.pictures.attached) == 1
