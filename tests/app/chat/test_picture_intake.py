"""Check that whatever happens to an intake is told once, or not at all when it was cancelled."""

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from app.chat.picture_intake import PictureIntake
from app.widgets.picture_sources import PictureSource
from engine.errors import EngineError
from engine.pictures import intake_process
from engine.pictures.stored_picture import StoredPicture

WAIT_MS = 60_000


@pytest.fixture
def intake(qtbot: QtBot, tmp_path: Path) -> Iterator[PictureIntake]:
    made = PictureIntake(tmp_path / "pictures")
    yield made
    made.close()


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "navy").save(file, "PNG")
    return file.getvalue()


def outcome(qtbot: QtBot, intake: PictureIntake, source: PictureSource) -> StoredPicture | EngineError:
    told: list[tuple[int, StoredPicture | EngineError]] = []
    intake.taken.connect(lambda ticket, picture: told.append((ticket, picture)))
    intake.refused.connect(lambda ticket, error: told.append((ticket, error)))
    ticket = intake.begin(source)
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT_MS)
    assert [number for number, _ in told] == [ticket]
    return told[0][1]


def test_files_bytes_and_pixels_are_taken(qtbot: QtBot, intake: PictureIntake, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    pixels = QImage.fromData(png())
    before = set(Path(tempfile.gettempdir()).iterdir())
    for source in (
        PictureSource("a.png", tmp_path / "a.png"),
        PictureSource("bytes", data=png()),
        PictureSource("pixels", pixels=pixels),
    ):
        picture = outcome(qtbot, intake, source)
        assert isinstance(picture, StoredPicture), picture
        assert (picture.width, picture.height) == (40, 30)
        assert picture.is_whole(tmp_path / "pictures")
    left = set(Path(tempfile.gettempdir()).iterdir()) - before
    assert not [path for path in left if path.name.startswith("phidelity-picture-")]


def test_empty_pixels_and_hostile_bytes_are_refused(qtbot: QtBot, intake: PictureIntake) -> None:
    for source in (
        PictureSource("none", pixels=QImage()),
        PictureSource("bad", data=b"\x89PNG\r\n\x1a\n" + b"\xff" * 99),
    ):
        error = outcome(qtbot, intake, source)
        assert isinstance(error, EngineError)
        assert error.code == "picture_invalid"


@pytest.mark.parametrize("end", ["os.abort()", "os._exit(9)"])
def test_a_decoder_that_dies_is_told_and_the_window_lives(
    end: str, qtbot: QtBot, intake: PictureIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", f"import os; {end}"]
    monkeypatch.setattr(intake_process, "python_command", lambda *_: command)
    error = outcome(qtbot, intake, PictureSource("evil.png", data=b"x"))
    assert isinstance(error, EngineError)
    assert error.message == "evil.png cannot be opened: it is damaged or of an unusual kind."
    monkeypatch.undo()
    assert isinstance(outcome(qtbot, intake, PictureSource("good.png", data=png())), StoredPicture)


def test_a_cancelled_intake_tells_nothing(qtbot: QtBot, intake: PictureIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(intake_process, "python_command", lambda *_: command)
    told: list[object] = []
    intake.taken.connect(lambda *event: told.append(event))
    intake.refused.connect(lambda *event: told.append(event))
    tickets = [intake.begin(PictureSource(f"{number}.png", data=b"x")) for number in range(4)]
    qtbot.wait(100)
    for ticket in tickets:
        intake.cancel(ticket)
    monkeypatch.undo()
    assert isinstance(outcome(qtbot, intake, PictureSource("good.png", data=png())), StoredPicture)
    assert len(told) == 1
