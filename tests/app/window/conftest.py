"""Open the real window on a fresh profile, with the real worker and the Starter."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.application import Application
from app.paths import profile_paths

Opener = Callable[..., Application]


@pytest.fixture
def open_window(qtbot: QtBot, qapp: QApplication, tmp_path: Path, starter: Path) -> Iterator[Opener]:
    """Give a function that opens the window on the test's profile; each window is closed at the end."""
    opened: list[Application] = []

    def start(*, load: bool = True) -> Application:
        application = Application(qapp, profile_paths(tmp_path / "profile"))
        opened.append(application)
        # An unhandled error must fail the test, not open the crash dialog.
        application._crash.uninstall()
        # The same question gets the same answer.
        application.settings.change(temperature=0.0, max_tokens=60)
        application.build_other_pages()
        if load:
            application.start()
            qtbot.waitUntil(lambda: application.bridge.state.kind == "ready", timeout=60_000)
        return application

    yield start
    for application in opened:
        application.shutdown()
        application.window.deleteLater()
        application.deleteLater()
    qtbot.wait(10)


@pytest.fixture
def application(open_window: Opener) -> Application:
    """Return the open window with the Starter loaded."""
    return open_window()
