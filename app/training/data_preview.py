"""Have training data examined in a process of its own, and hear of it in the GUI thread.

preview = DataPreview(parent)
preview.ask(ReadData(...)); preview.ask(CountKept(...))     # answered in order
preview.answered                                            # Signal(object): an answer of preview_protocol.py
preview.close()                                             # ends the process, whatever it does
"""

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal

from engine.data.libraries import how_to_install
from engine.launch import child_environment, training_command
from engine.training.preview_protocol import PreviewFailed, Request, decode_answer, encode

END_MS = 2000
LOG_CHARACTERS = 2000


class DataPreview(QObject):
    """Own one process; a new choice of data gets a new one."""

    answered = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        """Start the process."""
        super().__init__(parent)
        self._closed = False
        self._process = QProcess(self)
        environment = QProcessEnvironment()
        for name, value in child_environment().items():
            environment.insert(name, value)
        self._process.setProcessEnvironment(environment)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._ended)
        self._process.errorOccurred.connect(self._ended)
        program, *arguments = training_command("engine.training.preview")
        self._process.start(program, arguments)

    def ask(self, request: Request) -> None:
        """Send a request; they are answered one after the other."""
        self._process.write((encode(request) + "\n").encode())

    def close(self) -> None:
        """End the process; nothing is answered any more."""
        self._closed = True
        self._process.kill()
        self._process.waitForFinished(END_MS)
        self.deleteLater()

    def _read(self) -> None:
        while not self._closed and self._process.canReadLine():
            line = bytes(self._process.readLine().data()).decode("utf-8", "replace")
            self.answered.emit(decode_answer(line))

    def _ended(self) -> None:
        if self._closed:
            return
        self._closed = True
        log = bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace")[-LOG_CHARACTERS:]
        if "ModuleNotFoundError" in log:
            message = "Examining data needs PyTorch and other libraries, which are not installed."
            self.answered.emit(PreviewFailed("model_unsupported", message, how_to_install()))
            return
        remedy = "Try again, or with less data at once."
        self.answered.emit(PreviewFailed("job_died", "The data could not be examined to the end.", remedy))
