"""Check what the chat page says of the fidelity of the loaded model."""

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.application import Application
from app.library.figures_dialog import FiguresDialog
from converter.convert import convert
from converter.gguf_writer import string
from converter.metadata import BLOCK_SIZE_KEY
from engine.library.verification_record import VerificationRecord, write_record
from engine.protocol import Load
from engine.verification.band_result import BandResult
from tests.app.window.conftest import Opener
from tests.app.window.test_chatting import button, composer, type_and_send, visible_texts, wait_for_answer
from tests.helpers.fixtures import unpack_checkpoint
from tests.helpers.gguf_files import edited


def put_in_library(application: Application, source: Path) -> Path:
    folder = application._paths.models
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(source, folder / "mine.gguf"))


def note_comparison(model: Path, kl: float) -> None:
    status = model.stat()
    band = BandResult("short", 0, 255, 1e-4, kl, 1.0)
    write_record(model, VerificationRecord(status.st_size, status.st_mtime_ns, "Phi-tiny", "float32", 16.0, (band,)))


def load(qtbot: QtBot, application: Application, model: Path) -> None:
    application.chat.models.load(str(model))
    qtbot.waitUntil(lambda: application.bridge.state.kind == "ready", timeout=60_000)


def read_figures(qtbot: QtBot, application: Application) -> list[str]:
    """Click the badge and return what the dialog shows."""
    seen: list[str] = []

    def read_and_close() -> None:
        (dialog,) = [each for each in QApplication.topLevelWidgets() if isinstance(each, FiguresDialog)]
        seen.extend(visible_texts(dialog))
        dialog.accept()

    QTimer.singleShot(0, read_and_close)
    button(application.chat_page.top_bar, "verified").click()
    return seen


def test_the_badge_is_there_while_the_record_is_about_the_loaded_file(
    qtbot: QtBot, open_window: Opener, gguf_file: Path
) -> None:
    application = open_window(load=False)
    application.window.show()
    bar = application.chat_page.top_bar
    model = put_in_library(application, gguf_file)
    note_comparison(model, kl=1e-6)
    load(qtbot, application, model)
    qtbot.waitUntil(lambda: "verified" in visible_texts(bar), timeout=20_000)
    assert "1.0e-06" in read_figures(qtbot, application)
    note_comparison(model, kl=5.0)
    load(qtbot, application, model)
    qtbot.waitUntil(lambda: "verified" not in visible_texts(bar), timeout=20_000)
    note_comparison(model, kl=1e-6)
    load(qtbot, application, model)
    qtbot.waitUntil(lambda: "verified" in visible_texts(bar), timeout=20_000)
    model.touch()
    load(qtbot, application, model)
    qtbot.waitUntil(lambda: "verified" not in visible_texts(bar), timeout=20_000)


def test_threads_are_measured_into_the_profile(
    qtbot: QtBot, open_window: Opener, gguf_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = open_window(load=False)
    asked: list[Load] = []
    monkeypatch.setattr(application.bridge, "load", asked.append)
    application.chat.models.load(str(gguf_file))
    assert asked[0].thread_cache == str(application._paths.thread_cache)


def test_a_wrong_file_is_noted_in_one_line_and_repaired(qtbot: QtBot, open_window: Opener, gguf_file: Path) -> None:
    application = open_window(load=False)
    application.window.show()
    page, models = application.chat_page, application._paths.models
    models.mkdir(parents=True, exist_ok=True)
    wrong = edited(gguf_file, models / "wrong.gguf", {"tokenizer.chat_template": string("<|im_start|>user")})
    load(qtbot, application, wrong)
    assert any("The chat template is another model's" in text for text in visible_texts(page.notes))
    button(page.notes, "Repair").click()
    assert application.others is not None
    assert application.others.models_page.isVisible()
    qtbot.waitUntil(lambda: (models / "wrong-repaired.gguf").exists(), timeout=60_000)
    application.window.show_page("chat")
    load(qtbot, application, models / "wrong-repaired.gguf")
    assert page.notes.isHidden()


def test_a_note_without_a_cure_can_be_put_away(qtbot: QtBot, open_window: Opener, gguf_file: Path) -> None:
    application = open_window(load=False)
    application.window.show()
    notes = application.chat_page.notes
    model = put_in_library(application, gguf_file)
    load(qtbot, application, edited(model, model.with_name("broken.gguf"), {"tokenizer.chat_template": string("{%")}))
    assert notes.isVisible()
    assert "Repair" not in visible_texts(notes)
    button(notes, "Hide").click()
    assert notes.isHidden()
    load(qtbot, application, model)
    assert notes.isHidden()


def test_an_approximate_answer_says_so_below_it(qtbot: QtBot, open_window: Opener, tmp_path: Path) -> None:
    """A Phi-3-small of an older import runs on llama.cpp, which is exact for 1,024 tokens."""
    checkpoint = unpack_checkpoint("phi3small-tiny", tmp_path)
    converted = convert(checkpoint, tmp_path / "small.gguf", outtype="f32").path
    application = open_window(load=False)
    application.window.show()
    model = put_in_library(application, edited(converted, tmp_path / "old.gguf", {}, [BLOCK_SIZE_KEY]))
    load(qtbot, application, model)
    application.settings.change(max_tokens=5)
    sentence = "This answer is approximate from token 1,024 on"
    type_and_send(qtbot, application, "Hello")
    wait_for_answer(qtbot, application)
    assert not any(sentence in text for text in visible_texts(application.chat_page))
    composer(application).setPlainText("a" + " a" * 1100)
    qtbot.keyClick(composer(application), Qt.Key.Key_Return)
    answer = wait_for_answer(qtbot, application)
    assert answer.stats is not None
    assert answer.stats.notice is not None and sentence in answer.stats.notice
    shown = next(text for text in visible_texts(application.chat_page) if sentence in text)
    assert "Import the checkpoint again." in shown
