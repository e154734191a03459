"""The Models page says what is wrong with a file, cures it, and shows what a comparison found."""

from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from app.library.figures_dialog import FiguresDialog
from converter.gguf_writer import string, uint32
from engine.jobs.events import VerifyJob
from tests.app.library.conftest import WAIT_MS, Library
from tests.app.library.test_page import buttons, click, imported, texts
from tests.helpers.gguf_files import edited


def put_in_library(library: Library, gguf_file: Path, **changes: object) -> Path:
    library.models.folder.mkdir(parents=True, exist_ok=True)
    path = edited(gguf_file, library.models.folder / "theirs.gguf", changes)
    library.models.refresh()
    return path


def test_a_fault_is_named_and_repaired(qtbot: QtBot, library: Library, gguf_file: Path) -> None:
    window = {"phi3.attention.sliding_window": uint32(100), "general.name": string("Theirs phi-3")}
    path = put_in_library(library, gguf_file, **window)
    qtbot.waitUntil(lambda: buttons(library.page, "Repair: Theirs phi-3") != [], timeout=WAIT_MS)
    assert "sliding window missing" in texts(library.page.table)
    before = path.read_bytes()
    click(qtbot, library.page, "Repair: Theirs phi-3")
    qtbot.waitUntil(lambda: len(imported(library)) == 2, timeout=WAIT_MS)
    entries = {entry.path.name: entry.card for entry in imported(library)}
    assert entries["theirs-repaired.gguf"].faults == ()
    assert entries["theirs-repaired.gguf"].architecture == "granite_swa"
    assert path.read_bytes() == before


def test_a_comparison_ends_in_a_badge_with_figures(
    qtbot: QtBot, library: Library, gguf_file: Path, checkpoint: Path, monkeypatch
) -> None:
    put_in_library(library, gguf_file, **{"general.name": string("Mine phi-3")})
    qtbot.waitUntil(lambda: len(imported(library)) == 1, timeout=WAIT_MS)
    (entry,) = imported(library)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(checkpoint))
    library.page.table.verify_requested.emit(entry)
    assert [type(job.job) for job in library.queue.jobs] == [VerifyJob]
    assert "Comparing theirs with its reference" in texts(library.page.jobs)
    qtbot.waitUntil(lambda: imported(library)[0].card.verification is not None, timeout=WAIT_MS)
    seen: list[str] = []

    def read_and_close() -> None:
        (dialog,) = [each for each in QApplication.topLevelWidgets() if isinstance(each, FiguresDialog)]
        seen.extend(texts(dialog))
        dialog.accept()

    qtbot.waitUntil(lambda: buttons(library.page, "verified") != [], timeout=WAIT_MS)
    QTimer.singleShot(0, read_and_close)
    click(qtbot, library.page, "verified")
    assert "short" in seen
    assert any(text.endswith("%") and float(text[:-1]) > 95 for text in seen)
    assert any("Mine phi-3 answers as its reference does" in text for text in seen)
