"""Open files in the real window: as an argument, as a later start hands them over, and what is no model."""

import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.application import Application
from app.library.job_cards import FailureCard
from app.other_pages import OtherPages
from app.paths import profile_paths
from app.widgets.labels import Label
from app.window.frame import CHAT
from converter.lora import convert_lora
from tests.app.window.conftest import Opener
from tests.helpers.adapters import make_adapter

ROOT = Path(__file__).parents[3]
WAIT_MS = 60_000


def pages(application: Application) -> OtherPages:
    application.build_other_pages()
    assert application.others is not None
    return application.others


def loaded(application: Application) -> str:
    state = application.bridge.state
    return state.path if state.kind == "ready" else ""


def failures(application: Application) -> list[str]:
    cards = pages(application).models_page.findChildren(FailureCard)
    return [label.text() for card in cards for label in card.findChildren(Label)]


def test_a_file_named_at_the_start_is_added_and_loaded(qtbot: QtBot, open_window: Opener, gguf_file: Path) -> None:
    application = open_window(load=False)
    application.start(gguf_file)
    qtbot.waitUntil(lambda: loaded(application) == str(gguf_file), timeout=WAIT_MS)
    models = pages(application)._models
    qtbot.waitUntil(lambda: models.find(gguf_file) is not None, timeout=WAIT_MS)
    assert application.window._wanted == CHAT
    assert gguf_file.exists()
    assert list(models.folder.glob("*.gguf")) == []


def test_a_model_of_the_library_is_not_added_twice(qtbot: QtBot, application: Application, gguf_file: Path) -> None:
    models = pages(application)._models
    models.folder.mkdir(parents=True, exist_ok=True)
    own = models.folder / "own.gguf"
    own.write_bytes(gguf_file.read_bytes())
    application.open_model(own)
    qtbot.waitUntil(lambda: loaded(application) == str(own), timeout=WAIT_MS)
    assert list(models.folder.iterdir()) == [own]


@pytest.mark.parametrize("name", ["notes.gguf", "notes.txt", "nothing.gguf"])
def test_what_is_no_model_is_said_on_the_models_page(
    qtbot: QtBot, open_window: Opener, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    if not name.startswith("nothing"):
        file.write_text("Just words.")
    application = open_window(load=False)
    application.start(file)
    qtbot.waitUntil(lambda: failures(application) != [], timeout=WAIT_MS)
    assert any(f"{name} was not imported" in text for text in failures(application))
    assert application.window._wanted == "models"
    # The model of last time is there all the same.
    qtbot.waitUntil(lambda: application.bridge.state.kind == "ready", timeout=WAIT_MS)


def test_an_adapter_is_refused_with_the_way_to_use_it(
    qtbot: QtBot, application: Application, checkpoint: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "adapter.gguf"
    convert_lora(make_adapter(tmp_path / "lora", checkpoint), checkpoint, adapter)
    before = loaded(application)
    application.open_model(adapter)
    qtbot.waitUntil(lambda: failures(application) != [], timeout=WAIT_MS)
    assert any("adapter" in text for text in failures(application))
    assert loaded(application) == before


def test_a_later_start_hands_its_file_to_the_open_window(
    qtbot: QtBot, application: Application, gguf_file: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    qtbot.waitUntil(profile_paths(profile).open_requests.is_dir)
    command = [sys.executable, "-m", "app", str(gguf_file), "--profile", str(profile)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    qtbot.waitUntil(lambda: loaded(application) == str(gguf_file), timeout=WAIT_MS)
    assert list(profile_paths(profile).open_requests.iterdir()) == []


def test_requests_of_the_system_are_taken(application: Application, qapp: QApplication, gguf_file: Path) -> None:
    requests = application._requests
    taken: list[Path] = []
    requests.file_requested.disconnect()
    requests.file_requested.connect(taken.append)
    assert requests.eventFilter(qapp, QFileOpenEvent(str(gguf_file)))
    assert taken == [gguf_file]
