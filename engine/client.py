"""Start a worker and talk to it: requests in, events out, one terminal event per request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from engine.errors import EngineError
from engine.protocol import Event, Ready, Request, Result

EventCallback = Callable[[Event], None]


class EngineClient:
    """Own one worker process.

    Callbacks come from the reader thread (and, when the worker is already gone, from the thread that submits); events
    can arrive before `submit` returns. Each request gets exactly one terminal event, `Done` or `Failed`.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        on_ready: Callable[[Ready], None] | None = None,
        on_exit: Callable[[EngineError | None], None] | None = None,
        ids: Iterator[int] | None = None,
    ) -> None:
        """Start the worker; `on_exit` is called once, after the open requests failed, with None after `close`."""
        raise NotImplementedError

    @property
    def ready(self) -> Ready | None:
        """Give the worker's first event, or None while it starts."""
        raise NotImplementedError

    def submit(self, request: Request, on_event: EventCallback) -> int:
        """Send a request and return its id; a worker that is gone answers with `Failed` (`worker_died`)."""
        raise NotImplementedError

    def cancel(self, request_id: int) -> None:
        """Ask for a request to end; nothing happens if it has ended."""
        raise NotImplementedError

    def call(self, request: Request, on_event: EventCallback | None = None) -> Result:
        """Send a request, wait for its end, return its result; raises EngineError; an interrupt cancels the request."""
        raise NotImplementedError

    def close(self, timeout: float = 3.0) -> None:
        """End the worker: ask, then terminate, then kill, each after `timeout` seconds."""
        raise NotImplementedError
