"""Give the tests pictures, and the real window with a model that sees them or with one that does not."""

from pathlib import Path

import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from app.application import Application
from converter.convert import ConversionResult
from tests.app.window.conftest import Opener
from tests.app.window.pictures.steps import WAIT_MS, Maker


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
