"""Let background work wait while answers are written: keep the engine's busy file fresh."""

from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from app.engine_bridge import Answering, EngineBridge
from engine.busy import BUSY_SECONDS, BusyMark


class AnswerMark(QObject):
    """Touch the file as long as an answer is on its way."""

    def __init__(self, file: Path, bridge: EngineBridge, parent: QObject | None = None) -> None:
        """Watch the answers of `bridge`."""
        super().__init__(parent)
        self._mark = BusyMark(file)
        self._open = 0
        self._timer = QTimer(self, interval=round(BUSY_SECONDS * 1000 / 3))
        self._timer.timeout.connect(self._mark.touch)
        bridge.answer_begun.connect(self._begun)

    def _begun(self, answering: Answering) -> None:
        answering.finished.connect(self._ended)
        answering.failed.connect(self._ended)
        self._open += 1
        self._mark.touch()
        self._timer.start()

    def _ended(self) -> None:
        self._open -= 1
        if not self._open:
            self._timer.stop()
            self._mark.clear()
