"""Check that the window hears of an examination that dies, and nothing of one that it ended."""

from pytestqt.qtbot import QtBot

from app.training.data_preview import DataPreview
from engine.training.preview_protocol import CountKept, PreviewFailed

WAIT_MS = 60_000


def test_a_death_is_told_once(qtbot: QtBot) -> None:
    preview = DataPreview()
    answers: list[object] = []
    preview.answered.connect(answers.append)
    preview._process.waitForStarted(WAIT_MS)
    preview._process.kill()
    qtbot.waitUntil(lambda: bool(answers), timeout=WAIT_MS)
    qtbot.wait(50)
    assert len(answers) == 1
    assert isinstance(answers[0], PreviewFailed)
    assert answers[0].code == "job_died"
    preview.close()


def test_a_closed_one_is_silent_and_gone(qtbot: QtBot) -> None:
    preview = DataPreview()
    answers: list[object] = []
    preview.answered.connect(answers.append)
    preview.ask(CountKept([]))
    process = preview._process
    preview.close()
    assert process.state() == process.ProcessState.NotRunning
    qtbot.wait(50)
    assert answers == []
