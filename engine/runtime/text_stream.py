"""Turn the bytes of tokens into text that can be shown: whole characters, and nothing of a stop sequence."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Collect the pieces of an answer.

    Attributes:
        text: everything that was given out.
        stopped: whether a stop sequence was met; nothing follows it.
    """

    def __init__(self, stop: Sequence[str] = (), *, drop_first_space: bool = False) -> None:
        """Look out for `stop`; `drop_first_space` leaves out one space at the start, as sentencepiece writes it."""
        self._stop = tuple(stop)
        self._drop_first_space = drop_first_space
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.text = ""
        self.stopped = False

    def push(self, piece: bytes) -> str:
        """Take the bytes of a token; give the text that is now sure to be shown."""
        return self._take(self._decoder.decode(piece))

    def finish(self) -> str:
        """Give what was held back; bytes that never became a character appear as U+FFFD."""
        if self.stopped:
            return ""
        shown = self._take(self._decoder.decode(b"", final=True))
        rest, self._held = self._held, ""
        if not self.stopped:
            self.text += rest
            shown += rest
        return shown

    def _take(self, characters: str) -> str:
        if self.stopped or not characters:
            return ""
        if self._drop_first_space:
            self._drop_first_space = False
            characters = characters.removeprefix(" ")
        held = self._held + characters
        found = [position for stop in self._stop if (position := held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = held[: min(found)], ""
        else:
            split = len(held) - self._possible_start(held)
            shown, self._held = held[:split], held[split:]
        self.text += shown
        return shown

    def _possible_start(self, text: str) -> int:
        """Give the length of the longest end of `text` with which a stop sequence begins."""
        longest = max(map(len, self._stop), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop):
                return length
        return 0
