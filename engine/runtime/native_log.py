"""Keep the last lines that llama.cpp logs, and pass warnings on to standard error."""

from __future__ import annotations

import collections
import ctypes
import sys
import weakref

import llama_cpp.llama_cpp as llama

_LEVEL_WARNING = 3
_LEVEL_ERROR = 4
_LEVEL_CONTINUATION = 5


class NativeLog:
    """Receive llama.cpp's log as long as this object lives and no newer one does."""

    def __init__(self, lines_kept: int = 200) -> None:
        self._lines: collections.deque[tuple[int, str]] = collections.deque(maxlen=lines_kept)
        _living.append(weakref.ref(self, _living.remove))
        self.clear()

    def clear(self) -> None:
        """Forget the lines so far."""
        self._lines.clear()
        llama.llama_log_set(_CALLBACK, ctypes.c_void_p(0))

    def problems(self) -> list[str]:
        """Give the warnings and errors since `clear`."""
        return [text for level, text in self._lines if level in (_LEVEL_WARNING, _LEVEL_ERROR)]

    def receive(self, level: int, text: bytes) -> None:
        """Take a line, or a part of one."""
        line = text.decode("utf-8", errors="replace").rstrip()
        if level == _LEVEL_CONTINUATION and self._lines:
            last_level, last_line = self._lines.pop()
            self._lines.append((last_level, last_line + line))
        elif line:
            self._lines.append((level, line))
        if level in (_LEVEL_WARNING, _LEVEL_ERROR):
            print(line, file=sys.stderr)  # noqa: T201


_living: list[weakref.ref[NativeLog]] = []


def _pass_on(level: int, text: bytes, user_data: object) -> None:
    log = _living[-1]() if _living else None
    if log is not None:
        log.receive(level, text)


# llama.cpp keeps a pointer to it for the rest of the process, so it is never freed.
_CALLBACK = llama.llama_log_callback(_pass_on)
