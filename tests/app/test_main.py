"""Run the program as its users do, in a process of its own."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PySide6.QtGui import QImage

from app.storage.database import open_database
from app.storage.messages import Messages

ROOT = Path(__file__).parents[2]

# Types a question into the window as soon as the model is there.
CHATTING = """
import sys
from pathlib import Path
from PySide6.QtWidgets import QApplication
from app.__main__ import QuitSignals
from app.application import Application
from app.paths import profile_paths
qt = QApplication([])
signals = QuitSignals(qt)
application = Application(qt, profile_paths(Path(sys.argv[1])))
application.settings.change(max_tokens=2000)
def ask():
    if application.bridge.state.kind == "ready" and not application.chat._path:
        application.chat.send("Write a long story about a lighthouse keeper and the sea.")
application.bridge.state_changed.connect(ask)
application.start()
qt.exec()
application.shutdown()
"""

# Is told to end before the loop that would hear of it runs.
ENDED_EARLY = """
import os, signal
from PySide6.QtWidgets import QApplication
from app.__main__ import QuitSignals
qt = QApplication([])
signals = QuitSignals(qt)
os.kill(os.getpid(), signal.SIGTERM)
qt.exec()
signals.close()
"""


def run(*arguments: str, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "QT_QPA_PLATFORM": "offscreen", **environment}
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=timeout)


@pytest.mark.usefixtures("starter")
def test_smoke(tmp_path: Path) -> None:
    done = run("--smoke", "--profile", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) > 10
    assert done.stderr == ""


@pytest.mark.usefixtures("starter")
def test_screenshot(tmp_path: Path) -> None:
    picture = tmp_path / "window.png"
    options = ("--profile", str(tmp_path / "profile"), "--page", "settings", "--theme", "dark", "--size", "1000x640")
    done = run("--screenshot", str(picture), *options)
    assert done.returncode == 0, done.stderr
    image = QImage(str(picture))
    assert (image.width(), image.height()) == (1000, 640)
    assert image.pixelColor(990, 630).lightness() < 60


@pytest.mark.parametrize("arguments", [("--page", "nowhere"), ("--nonsense",), ("--size", "big")])
def test_wrong_arguments(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_what_the_window_shows_first_is_light() -> None:
    heavy = "{'numpy', 'PIL', 'engine.vision.images', 'converter.gguf_file'}"
    code = f"import sys, app.application; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_display_is_told_in_one_line() -> None:
    done = run(DISPLAY="", WAYLAND_DISPLAY="", QT_QPA_PLATFORM="")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "display" in done.stderr


def test_a_profile_of_a_newer_version_is_refused_in_one_line(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "phidelity.db") as database:
        database.execute("PRAGMA user_version = 999")
    done = run("--smoke", "--profile", str(tmp_path))
    assert done.returncode == 3
    assert "newer version" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("starter")
@pytest.mark.parametrize("end", [subprocess.Popen.kill, subprocess.Popen.terminate])
def test_what_was_shown_survives_the_end_of_the_window(
    tmp_path: Path, end: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    window = subprocess.Popen([sys.executable, "-c", CHATTING, str(tmp_path)], cwd=ROOT, env=environment)
    try:
        _wait_for_pieces(tmp_path / "phidelity.db", 5)
        children = psutil.Process(window.pid).children(recursive=True)
        assert children
    finally:
        end(window)
        window.wait(30)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
    database = open_database(tmp_path / "phidelity.db")
    messages = Messages(database)
    messages.recover_interrupted()
    question, answer = messages.path(1)
    database.close()
    assert question.text.startswith("Write a long story")
    assert len(answer.text) > 20
    assert answer.stats is not None
    assert answer.stats.finish_reason == "interrupted"


def test_a_signal_that_comes_before_the_loop_runs_is_not_lost() -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run([sys.executable, "-c", ENDED_EARLY], cwd=ROOT, env=environment, timeout=60, check=False)
    assert done.returncode == 0


def _wait_for_pieces(path: Path, count: int) -> None:
    """Wait until the window has stored some of the answer."""
    for _ in range(600):
        time.sleep(0.1)
        if not path.exists():
            continue
        connection = sqlite3.connect(path)
        try:
            if connection.execute("SELECT count(*) FROM pieces").fetchone()[0] >= count:
                return
        except sqlite3.OperationalError:
            continue
        finally:
            connection.close()
    raise AssertionError("the window stored no answer")
