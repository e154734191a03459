"""Turn amounts of work done into a rate and the time that is left."""

import time
from collections import deque

WINDOW_SECONDS = 20.0


class Pace:
    """Keep the last seconds of progress; the rate is over these, so that it follows a change of load."""

    def __init__(self) -> None:
        """Start the clock."""
        self._samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def update(self, done_bytes: int, total_bytes: int) -> tuple[float, float | None]:
        """Take the bytes done so far; return bytes per second and seconds left (None until there is a rate)."""
        now = time.monotonic()
        self._samples.append((now, done_bytes))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()
        started, first = self._samples[0]
        rate = (done_bytes - first) / (now - started) if now - started > 0.5 else 0.0
        return rate, (total_bytes - done_bytes) / rate if rate > 0 else None
