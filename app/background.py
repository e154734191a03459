"""Run slow work off the GUI thread and bring its outcome back to it.

    background.run(lambda: scan(folders), on_success=self._show_models, on_failure=self._show_error)

Without `on_failure` an exception goes to the crash dialog like any other bug.
"""

import sys
from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal, SignalInstance

Outcome = TypeVar("Outcome")


class Background(QObject):
    """Own the threads for slow work; call it from the GUI thread."""

    _finished = Signal(object)

    def __init__(self, parent: QObject | None = None, threads: int = 4) -> None:
        """Make a small pool: this is for waiting and reading, not for computing."""
        super().__init__(parent)
        self._pool = QThreadPool()
        self._pool.setMaxThreadCount(threads)
        self._closed = False
        self._finished.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        work: Callable[[], Outcome],
        on_success: Callable[[Outcome], object],
        on_failure: Callable[[Exception], object] | None = None,
    ) -> None:
        """Call `work` in a thread, then one of the others in the GUI thread with its result or exception."""
        self._pool.start(_Work(self._finished, work, on_success, on_failure or _report_bug))

    def close(self, timeout_ms: int = 2000) -> None:
        """Wait for what is running; outcomes that arrive later are dropped."""
        self._closed = True
        self._pool.clear()
        self._pool.waitForDone(timeout_ms)

    def _deliver(self, deliver: Callable[[], object]) -> None:
        if not self._closed:
            deliver()


class _Work(QRunnable):
    """Carry one piece of work into a thread."""

    def __init__(
        self,
        finished: SignalInstance,
        work: Callable[[], Outcome],
        on_success: Callable[[Outcome], object],
        on_failure: Callable[[Exception], object],
    ) -> None:
        super().__init__()
        self._finished = finished
        self._work = work
        self._on_success = on_success
        self._on_failure = on_failure

    def run(self) -> None:
        """Do the work and post its outcome."""
        try:
            outcome = self._work()
        except Exception as error:
            self._post(self._on_failure, error)
        else:
            self._post(self._on_success, outcome)

    def _post(self, callback: Callable[[Outcome], object], outcome: Outcome) -> None:
        self._finished.emit(lambda: callback(outcome))


def _report_bug(error: Exception) -> None:
    sys.excepthook(type(error), error, error.__traceback__)
