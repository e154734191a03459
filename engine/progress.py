"""Tell how far a request is and how long it still takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from engine.protocol import Event, LoadedModel, Notice, Progress, Stage

_SECONDS_BETWEEN_REPORTS = 0.1
MOVED_TO_PROCESSOR = "The graphics card failed; the answer goes on on the processor."
_READING = ("prefill", "reread")
# A few tokens are read slower than many; fewer yet say nothing.
_TOKENS_FOR_PACE = 32
_FEWEST_TOKENS = 8.0


class ReadingPace:
    """Remember how fast the loaded model has last read tokens; `seconds_per_token` is None until it has."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, for another model."""
        self.seconds_per_token: float | None = None
        self._tokens = _FEWEST_TOKENS

    def note(self, tokens: float, seconds: float) -> None:
        """Take the time in which tokens were read; that of few only while there is nothing better."""
        if tokens >= min(self._tokens, _TOKENS_FOR_PACE):
            self.seconds_per_token, self._tokens = seconds / tokens, tokens


class Reporter:
    """Send progress of one request, not more often than anyone can read it."""

    def __init__(
        self,
        send: Callable[[Event], None],
        request_id: int,
        pace: ReadingPace,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Take where events go; `pace` lasts from one request to the next."""
        self._send = send
        self._id = request_id
        self._pace = pace
        self._clock = clock
        self._stage: Stage | None = None
        self._started = self._sent = 0.0
        self._expected: float | None = None

    def loaded(self, fraction: float) -> None:
        """Tell which part of a model is loaded."""
        self._pace.forget()
        self._report("load", fraction, 1.0)

    def evaluated(self, stage: Stage, done: float, total: float) -> None:
        """Tell how many tokens, or crops of pictures, of a stage are evaluated."""
        self._report(stage, done, total)

    def dropped(self, messages: int) -> None:
        """Tell that messages were left out."""
        sentence = f"The oldest {messages} messages were left out because the conversation outgrew the context."
        self._send(Notice(self._id, "turns_dropped", sentence, messages))

    def approximate(self, sentence: str) -> None:
        """Tell from where on an answer is approximate."""
        self._send(Notice(self._id, "approximate", sentence))

    def moved(self, model: LoadedModel) -> None:
        """Tell that a GPU has failed in the middle of an answer, which goes on with the model on the processor."""
        self._pace.forget()
        self._send(Notice(self._id, "moved_to_processor", MOVED_TO_PROCESSOR, model=model))

    def _report(self, stage: Stage, done: float, total: float) -> None:
        now = self._clock()
        if stage != self._stage:
            self._stage, self._started, self._sent = stage, now, -math.inf
            pace = self._pace.seconds_per_token if stage in _READING else None
            self._expected = None if pace is None else pace * total
        if stage in _READING:
            self._pace.note(done, now - self._started)
        if done < total and now - self._sent < _SECONDS_BETWEEN_REPORTS:
            return
        self._sent = now
        left = self._seconds_left(now, done, total)
        self._send(Progress(self._id, stage, done, total, left if left is None else round(left, 2)))

    def _seconds_left(self, now: float, done: float, total: float) -> float | None:
        """Go by the speed of the last reading at the start, and more and more by the speed of this one.

        The first tokens of a long text are read faster than the last ones, which have more to look back at.
        """
        if not done:
            return self._expected
        taken = now - self._started
        steady = taken / done * (total - done)
        if self._expected is None:
            return steady
        part = done / total
        return part * steady + (1 - part) * max(steady, self._expected - taken)
