"""Check that an error that nobody caught saves first and is then shown once."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QPushButton
from pytestqt.qtbot import QtBot

from app.crash import CrashDialog, CrashReporter


@pytest.fixture
def saved() -> list[bool]:
    return []


@pytest.fixture
def reporter(qapp: QApplication, tmp_path: Path, saved: list[bool]) -> Iterator[CrashReporter]:
    made = CrashReporter(tmp_path / "logs")
    made.install(lambda: saved.append(True))
    yield made
    made.uninstall()


def dialogs() -> list[CrashDialog]:
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, CrashDialog) and w.isVisible()]


def press(text: str) -> None:
    next(b for b in dialogs()[0].findChildren(QPushButton) if b.text() == text).click()


def test_it_saves_and_shows_a_report(qtbot: QtBot, reporter: CrashReporter, saved: list[bool]) -> None:
    seen: list[str] = []

    def look() -> None:
        details = dialogs()[0].findChild(QPlainTextEdit)
        assert details is not None
        seen.append(details.toPlainText())
        press("Copy report")
        press("Continue")

    QTimer.singleShot(100, look)
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    qtbot.waitUntil(lambda: bool(seen) and not dialogs())
    assert saved == [True]
    assert "ZeroDivisionError: by nothing" in seen[0]
    assert seen[0].startswith("Phidelity ")
    assert QGuiApplication.clipboard().text() == seen[0]


def test_errors_of_threads_arrive_and_many_make_one_dialog(
    qtbot: QtBot, reporter: CrashReporter, saved: list[bool]
) -> None:
    def fail() -> None:
        raise ValueError("in a thread")

    threads = [threading.Thread(target=fail) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts: list[int] = []

    def look() -> None:
        counts.append(len(dialogs()))
        press("Continue")

    QTimer.singleShot(300, look)
    qtbot.waitUntil(lambda: bool(counts) and not dialogs())
    assert counts == [1]
    assert len(saved) == 5
