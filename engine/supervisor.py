"""Keep a worker alive: restart it when it dies and reload the model that was loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.client import EventCallback
from engine.errors import EngineError
from engine.protocol import LoadedModel, Ready, Request, Result


@dataclass(frozen=True, slots=True)
class WorkerState:
    """Tell how the worker is: `starting`, `ready`, `died` (a new one follows), `unavailable` (given up), `closed`.

    `reloading` is true while a new worker loads again the model that the dead one had.
    """

    kind: Literal["starting", "ready", "died", "unavailable", "closed"]
    ready: Ready | None = None
    error: EngineError | None = None
    reloading: bool = False


class Supervisor:
    """Offer a client's methods over workers that come and go; ids are unique over all of them.

    After three deaths in a row requests fail with `worker_unavailable`; a new `Load` tries again.
    """

    def __init__(
        self, command: Sequence[str] | None = None, *, on_state: Callable[[WorkerState], None] | None = None
    ) -> None:
        """Start the first worker; `on_state` comes from any thread."""
        raise NotImplementedError

    @property
    def model(self) -> LoadedModel | None:
        """Give the model that is loaded, or is being loaded again after a death."""
        raise NotImplementedError

    def submit(self, request: Request, on_event: EventCallback) -> int:
        """Send a request and return its id."""
        raise NotImplementedError

    def cancel(self, request_id: int) -> None:
        """Ask for a request to end; nothing happens if it has ended."""
        raise NotImplementedError

    def call(self, request: Request, on_event: EventCallback | None = None) -> Result:
        """Send a request, wait for its end and return its result; raises EngineError."""
        raise NotImplementedError

    def close(self, timeout: float = 3.0) -> None:
        """End the worker and start no other."""
        raise NotImplementedError
