"""Let one thread ask for the end of work that another thread does in Python or in native code."""

from __future__ import annotations

import ctypes

from engine.errors import EngineError


class Cancellation:
    """Be asked once; native code reads the same flag, at `address`, as a C string that is empty until then."""

    def __init__(self) -> None:
        self._flag = ctypes.create_string_buffer(2)

    @property
    def address(self) -> int:
        """Give the address of the flag, valid as long as this object lives."""
        return ctypes.addressof(self._flag)

    @property
    def requested(self) -> bool:
        """Tell whether the end was asked for."""
        return bool(self._flag.raw[0])

    def request(self) -> None:
        """Ask for the end, from any thread."""
        self._flag[0] = b"\x01"

    def check(self) -> None:
        """Raise EngineError `cancelled` if the end was asked for."""
        if self.requested:
            raise EngineError("cancelled", "The work was cancelled.")
