"""Keep the last lines that llama.cpp logs, and pass warnings on to standard error."""

from __future__ import annotations

import collections
import ctypes
import sys

import llama_cpp.llama_cpp as llama

_LEVEL_WARNING = 3
_LEVEL_ERROR = 4
_LEVEL_CONTINUATION = 5


class NativeLog:
    """Receive llama.cpp's log as long as this object lives."""

    def __init__(self, lines_kept: int = 200) -> None:
        self._lines: collections.deque[tuple[int, str]] = collections.deque(maxlen=lines_kept)
        self._callback = llama.llama_log_callback(self._receive)
        llama.llama_log_set(self._callback, ctypes.c_void_p(0))

    def clear(self) -> None:
        """Forget the lines so far."""
        self._lines.clear()

    def problems(self) -> list[str]:
        """Give the warnings and errors since `clear`."""
        return [text for level, text in self._lines if level in (_LEVEL_WARNING, _LEVEL_ERROR)]

    def _receive(self, level: int, text: bytes, user_data: object) -> None:
        line = text.decode("utf-8", errors="replace").rstrip()
        if level == _LEVEL_CONTINUATION and self._lines:
            last_level, last_line = self._lines.pop()
            self._lines.append((last_level, last_line + line))
        elif line:
            self._lines.append((level, line))
        if level in (_LEVEL_WARNING, _LEVEL_ERROR):
            print(line, file=sys.stderr)  # noqa: T201
