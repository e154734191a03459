"""Check what counts as pictures in what is dropped or pasted."""

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from app.widgets.picture_sources import (
    are_picture_files,
    drops_pictures,
    name_filter,
    offers_pictures,
    picture_sources,
)

pytestmark = pytest.mark.usefixtures("qapp")


def urls(*addresses: str) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl(address) for address in addresses])
    return data


def test_files_come_before_everything_else(qapp: QApplication) -> None:
    data = urls("file:///home/a.png", "https://example.org/b.png", "file:///home/c.txt")
    data.setData("image/png", b"bytes")
    assert [source.path for source in picture_sources(data)] == [Path("/home/a.png"), Path("/home/c.txt")]
    assert offers_pictures(data)
    assert drops_pictures(data)


def test_only_files_that_are_all_pictures_leave_the_models_page() -> None:
    assert are_picture_files(urls("file:///a.PNG", "file:///b.jpeg"))
    assert not are_picture_files(urls("file:///a.png", "file:///b.gguf"))
    assert not are_picture_files(urls("https://example.org/a.png"))
    assert not are_picture_files(QMimeData())


def test_bytes_are_taken_as_they_are_even_where_they_are_no_picture() -> None:
    data = QMimeData()
    data.setData("image/jpeg", b"not a jpeg")
    (source,) = picture_sources(data)
    assert (source.data, source.pixels, source.path) == (b"not a jpeg", None, None)


def test_pixels_are_taken_where_there_are_no_bytes() -> None:
    image = QImage(8, 6, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.red)
    data = QMimeData()
    data.setImageData(image)
    (source,) = picture_sources(data)
    assert source.pixels is not None
    assert source.pixels.size() == image.size()


def test_text_with_its_picture_is_pasted_as_text_and_dropped_as_picture() -> None:
    data = QMimeData()
    data.setText("A1\tB1")
    data.setData("image/png", b"a picture of the table")
    assert not offers_pictures(data)
    assert drops_pictures(data)


def test_addresses_and_words_are_no_pictures() -> None:
    link, words = urls("https://example.org/page"), QMimeData()
    words.setText("words")
    for data in (link, words, QMimeData()):
        assert not offers_pictures(data)
        assert not drops_pictures(data)
        assert picture_sources(data) == []
    address = urls("https://example.org/a.webp")
    assert drops_pictures(address)
    assert picture_sources(address) == []


def test_the_file_dialog_shows_what_works() -> None:
    assert name_filter().startswith("Pictures (*.png *.jpg")
