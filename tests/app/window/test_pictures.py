"""Show pictures to the tiny vision model in the real window, through the real intake and worker."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPlainTextEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.application import Application
from app.chat.picture_chip import PictureChip
from app.chat.picture_thumbnail import PictureThumbnail
from app.chat.picture_viewer import PictureViewer
from app.storage.messages import Message
from app.window.drop_overlay import DropOverlay
from converter.convert import ConversionResult
from tests.app.window.conftest import Opener

WAIT_MS = 60_000
Maker = Callable[..., Path]


@pytest.fixture
def make_picture(tmp_path: Path) -> Maker:
    def make(name: str = "sunset.png", size: tuple[int, int] = (300, 200), color: str = "orange") -> Path:
        path = tmp_path / name
        Image.new("RGB", size, color).save(path)
        return path

    return make


@pytest.fixture
def application(qtbot: QtBot, open_window: Opener, vision_model: ConversionResult) -> Application:
    """Return the open window with the tiny vision model loaded."""
    opened = open_window(load=False)
    opened.window.show()
    opened.settings.change(max_tokens=8)
    opened.chat.models.load(str(vision_model.path))
    qtbot.waitUntil(lambda: opened.bridge.state.kind == "ready", timeout=WAIT_MS)
    return opened


@pytest.fixture
def starter_window(qtbot: QtBot, open_window: Opener) -> Application:
    return open_window()


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


def test_a_model_without_eyes_says_so_and_offers_one_that_has_them(
    qtbot: QtBot, starter_window: Application, make_picture: Maker, vision_model: ConversionResult
) -> None:
    application, composer = starter_window, starter_window.chat_page.composer
    attach(qtbot, application, make_picture())
    assert any(text.startswith("Starter sees no pictures. Remove them") for text in texts(composer))
    send(qtbot, application, "What is this?")
    assert application.chat.current is None
    assert edit(application).toPlainText() == "What is this?"
    button(composer, "Import a vision model").click()
    assert application.others.models_page.isVisible()
    application.others._models.add_in_place(vision_model.path)
    application.window.show_page("chat")
    qtbot.waitUntil(lambda: application.chat.models.vision_choice() is not None, timeout=WAIT_MS)
    button(composer, "Switch to Tiny vision").click()
    assert not composer.no_vision.isVisible()
    qtbot.keyClick(edit(application), Qt.Key.Key_Return)
    answer = wait_for_answer(qtbot, application)
    assert application.bridge.state.path == str(vision_model.path)
    assert answer.stats is not None
    assert answer.stats.finish_reason in ("stop", "length"), answer.stats.notice


def test_a_chat_with_pictures_goes_on_in_words_and_says_so(
    qtbot: QtBot, application: Application, make_picture: Maker, starter: Path
) -> None:
    attach(qtbot, application, make_picture())
    send(qtbot, application, "What is this?")
    wait_for_answer(qtbot, application)
    application.chat.models.load(str(starter))
    qtbot.waitUntil(lambda: application.bridge.state.kind == "ready", timeout=WAIT_MS)
    composer = application.chat_page.composer
    assert any("reads only the words" in text for text in texts(composer))
    send(qtbot, application, "Name three fruits.")
    answer = wait_for_answer(qtbot, application)
    assert answer.stats is not None
    assert answer.stats.finish_reason in ("stop", "length")
    assert "to the words alone" in (answer.stats.notice or "")
    assert any("to the words alone" in text for text in texts(application.chat_page.transcript))


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
