"""Follow one answer on its way: store every piece before it is shown, and note how it ended."""

import time
from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from app.durations import left_text
from app.engine_bridge import Answering, EngineBridge
from app.storage.errors import StorageError
from app.storage.messages import INTERRUPTED, AnswerStats, Messages
from engine.errors import EngineError
from engine.protocol import ChatResult, Notice, Progress

FLUSH_MS = 40
# Showing a piece may take this share of the time at most; longer answers are shown in larger pieces.
SHOWING_SHARE = 0.12
PATIENCE_MS = 500


class Generation(QObject):
    """Be one answer that is being written, whether or not its chat is the one that is shown."""

    text_stored = Signal(int, str)
    status_changed = Signal(int, object, object)
    noticed = Signal(int, str)
    ended = Signal(int)
    storage_failed = Signal(object)

    def __init__(
        self,
        bridge: EngineBridge,
        messages: Messages,
        answering: Answering,
        message_id: int,
        notices: Sequence[str] = (),
    ) -> None:
        """Begin to follow; `message_id` is the answer's place in the storage, `notices` what is known of it already."""
        super().__init__(bridge)
        self.message_id = message_id
        self.result: ChatResult | None = None
        self._bridge = bridge
        self._messages = messages
        self._answering = answering
        self._pieces: list[str] = []
        self._notices = list(notices)
        self._waiting = True
        self._began = False
        self._progress: Progress | None = None
        self._patience = QTimer(self, singleShot=True, interval=PATIENCE_MS)
        self._patience.timeout.connect(self._show_status)
        self._patience.start()
        self._flush_timer = QTimer(self, singleShot=True)
        self._flush_timer.timeout.connect(self.flush)
        bridge.state_changed.connect(self._refresh_status)
        answering.token_arrived.connect(self._take_token)
        answering.progressed.connect(self._take_progress)
        answering.noticed.connect(self._take_notice)
        answering.finished.connect(self._finished)
        answering.failed.connect(self._failed)

    def stop(self) -> None:
        """Ask for the end; `ended` follows."""
        self._answering.cancel()

    def abandon(self) -> None:
        """Keep what has arrived and follow no longer: the window closes."""
        self._answering.blockSignals(True)
        self._end(AnswerStats(INTERRUPTED, notice=self._notice()))

    def flush(self) -> None:
        """Store what has arrived and hand it on."""
        if not self._pieces:
            return
        text, self._pieces = "".join(self._pieces), []
        started = time.perf_counter()
        try:
            self._messages.append_text(self.message_id, text)
        except StorageError as error:
            # What cannot be kept is not shown: the answer ends here.
            self._pieces = [text]
            self.storage_failed.emit(error)
            self.stop()
            return
        self.text_stored.emit(self.message_id, text)
        spent_ms = (time.perf_counter() - started) * 1000
        self._flush_timer.setInterval(max(FLUSH_MS, round(spent_ms / SHOWING_SHARE)))

    def _take_token(self, text: str) -> None:
        self._pieces.append(text)
        if self._waiting:
            self._waiting, self._progress = False, None
            self._patience.stop()
            self.status_changed.emit(self.message_id, None, None)
        if not self._began:
            self._began = True
            self.flush()
        elif not self._flush_timer.isActive():
            self._flush_timer.start()

    def _take_progress(self, progress: Progress) -> None:
        """Follow the reading before the first word, or of a conversation that has become long in the middle of it."""
        self._progress = progress
        if not self._waiting:
            self._waiting = True
            self._patience.start()
        self._refresh_status()

    def _take_notice(self, notice: Notice) -> None:
        if notice.code == "moved_to_processor":
            return  # the line above the messages says so, for as long as it is true
        self._notices.append(notice.message)
        self.noticed.emit(self.message_id, self._notice())

    def _refresh_status(self) -> None:
        if self._waiting and not self._patience.isActive():
            self._show_status()

    def _show_status(self) -> None:
        """Say what the wait is for, below all that has arrived."""
        self.flush()
        state, progress = self._bridge.state, self._progress
        if progress is not None and progress.total:
            self.status_changed.emit(self.message_id, self._reading(progress), progress.done / progress.total)
        elif state.kind == "loading":
            self.status_changed.emit(self.message_id, self.tr("Loading the model"), state.fraction)
        else:
            self.status_changed.emit(self.message_id, self.tr("Waiting for the model"), None)

    def _reading(self, progress: Progress) -> str:
        """Say what is being read, and how long it still takes as far as that is known."""
        if progress.stage == "picture":
            return self._looking(progress)
        if progress.stage == "reread":
            sentence = self.tr("Long conversation: reading it again, {0}")
        else:
            sentence = self.tr("Reading the conversation, {0}")
        if progress.seconds_left is None:
            return sentence.format(self.tr("{0} %").format(round(100 * progress.done / progress.total)))
        return sentence.format(left_text(progress.seconds_left))

    def _looking(self, progress: Progress) -> str:
        """Say how far the pictures have been looked at, in crops, and how long it still takes."""
        crop = min(int(progress.done) + 1, int(progress.total))
        sentence = self.tr("Looking at the pictures, crop {0} of {1}").format(crop, int(progress.total))
        if progress.seconds_left is None or progress.seconds_left < 1:
            return sentence
        return f"{sentence}, {left_text(progress.seconds_left)}"

    def _finished(self, result: ChatResult) -> None:
        self.result = result
        stats = AnswerStats(
            finish_reason=result.finish_reason,
            prompt_tokens=result.prompt_tokens,
            cached_tokens=result.cached_tokens,
            completion_tokens=result.completion_tokens,
            tokens_per_second=result.tokens_per_second,
            first_token_ms=result.first_token_ms,
            notice=self._notice(),
        )
        self._end(stats)

    def _failed(self, error: EngineError) -> None:
        # That the user has stopped it needs no explanation.
        reasons = [] if error.code == "cancelled" else [error.message, error.remedy]
        self._end(AnswerStats(error.code, notice=self._notice(*filter(None, reasons))))

    def _notice(self, *more: str) -> str | None:
        return " ".join([*self._notices, *more]) or None

    def _end(self, stats: AnswerStats) -> None:
        """Store the rest and how it ended, and say so whatever the storage does."""
        self._patience.stop()
        self._flush_timer.stop()
        self._bridge.state_changed.disconnect(self._refresh_status)
        try:
            self.flush()
            self._messages.finish(self.message_id, stats)
        except StorageError as error:
            self.storage_failed.emit(error)
        self.ended.emit(self.message_id)
        self.deleteLater()
