"""Check that background work hears of answers, and that they are over."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from app.answer_mark import AnswerMark
from app.engine_bridge import Answering
from engine.busy import is_busy
from engine.errors import EngineError


class Answers(QObject):
    """Stand for the bridge, of which only one signal is heard."""

    answer_begun = Signal(Answering)

    def begin(self) -> Answering:
        """Begin an answer."""
        answering = Answering(self)
        self.answer_begun.emit(answering)
        return answering


def test_the_file_is_there_while_answers_are_written(qtbot: QtBot, tmp_path: Path) -> None:
    file, answers = tmp_path / "profile" / "answering", Answers()
    mark = AnswerMark(file, answers)
    assert not is_busy(file)
    first, second = answers.begin(), answers.begin()
    assert is_busy(file)
    first.finished.emit(None)
    assert is_busy(file)
    second.failed.emit(EngineError("internal", ""))
    assert not file.exists()
    assert not mark._timer.isActive()


def test_the_file_stays_fresh_while_nothing_is_heard(qtbot: QtBot, tmp_path: Path) -> None:
    file, answers = tmp_path / "answering", Answers()
    mark = AnswerMark(file, answers)
    answers.begin()
    file.unlink()
    mark._timer.setInterval(1)
    mark._mark._touched = 0.0
    qtbot.waitUntil(file.exists, timeout=5000)
    assert is_busy(file)
