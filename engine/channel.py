"""Move lines over a pipe: bounded reading, writing that never blocks the caller."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import BinaryIO

from engine.wire import MAX_LINE_BYTES


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Give the lines of a stream without their ends; of a line over the limit only a piece, still over the limit."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        rest = line
        while rest and not rest.endswith(b"\n") and len(line) > MAX_LINE_BYTES:
            rest = stream.readline(MAX_LINE_BYTES)
        yield line.removesuffix(b"\n")


class LineWriter:
    """Write lines from a thread of its own, so that a reader that hangs cannot block the sender."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name=name, daemon=True)
        self._thread.start()

    def send(self, line: bytes) -> None:
        """Queue one line, its end included."""
        self._queue.put(line)

    def close(self, timeout: float) -> None:
        """Close the stream after the queued lines; give up waiting after `timeout` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _write(self) -> None:
        try:
            while (line := self._queue.get()) is not None:
                self._stream.write(line)
                self._stream.flush()
            self._stream.close()
        except OSError:
            # The other end is gone; whoever reads from it learns that from the end of its own stream.
            with contextlib.suppress(OSError):  # closing tries to write what is left, and closes all the same
                self._stream.close()
