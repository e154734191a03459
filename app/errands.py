"""Do what the command line asks of the window instead of waiting for a user: the smoke test and the picture."""

from pathlib import Path

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication

from app.application import Application
from engine.library.folders import starter_path

PROMPT = "Name three fruits."
SMOKE_SECONDS = 120
LOADING_SECONDS = 60
SETTLING_MS = 400


class SmokeTest(QObject):
    """Load the Starter, send one message, print the answer, and quit: 0 if there was one."""

    def __init__(self, application: Application) -> None:
        """Ask for the Starter."""
        super().__init__(application)
        self._application = application
        self._asked = False
        application.bridge.state_changed.connect(self._engine_changed)
        application.chat.answer_ended.connect(self._print_answer)
        QTimer.singleShot(SMOKE_SECONDS * 1000, self, lambda: self._fail("it took too long"))
        # The Starter, whatever the settings say.
        application.chat.models.load(str(starter_path()))

    def _engine_changed(self) -> None:
        state = self._application.bridge.state
        if state.kind == "failed" and state.error is not None:
            self._fail(state.error.message)
        elif state.kind == "ready" and not self._asked:
            self._asked = True
            self._application.chat.send(PROMPT)

    def _print_answer(self) -> None:
        answer = self._application.chat.last_answer()
        if not answer:
            self._fail("there was no answer")
            return
        print(answer, flush=True)  # noqa: T201
        QApplication.exit(0)

    def _fail(self, why: str) -> None:
        print(f"phidelity: the smoke test failed: {why}.", flush=True)  # noqa: T201
        QApplication.exit(1)


class Screenshot(QObject):
    """Save a picture of a page once the model is loaded and everything has settled, and quit."""

    def __init__(self, application: Application, file: Path) -> None:
        """Wait for the model."""
        super().__init__(application)
        self._application = application
        self._file = file
        application.bridge.state_changed.connect(self._engine_changed)
        self._settled = QTimer(self, singleShot=True, interval=SETTLING_MS)
        self._settled.timeout.connect(self._save)
        QTimer.singleShot(LOADING_SECONDS * 1000, self, self._save)

    def _engine_changed(self) -> None:
        if self._application.bridge.state.kind in ("ready", "failed"):
            self._settled.start()

    def _save(self) -> None:
        saved = self._application.window.grab().save(str(self._file), "PNG")
        if not saved:
            print(f"phidelity: the picture could not be written to {self._file}.", flush=True)  # noqa: T201
        QApplication.exit(0 if saved else 4)
