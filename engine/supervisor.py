"""Keep a worker alive: restart it when it dies and reload the model that was loaded."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from engine.client import EngineClient, EventCallback, wait_for
from engine.errors import EngineError
from engine.open_request import OpenRequest
from engine.progress import MOVED_TO_PROCESSOR
from engine.protocol import (
    Chat,
    Done,
    Event,
    Failed,
    Load,
    LoadedModel,
    LoadResult,
    Notice,
    Progress,
    Ready,
    Request,
    Result,
    Token,
    Unload,
    UseAdapters,
)

DEATHS_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class WorkerState:
    """Tell how the worker is: `starting`, `ready`, `died` (a new one follows), `unavailable` (given up), `closed`.

    `reloading` is true while a new worker loads again the model that the dead one had; `reloaded` and `reload_failed`
    tell how that ended.
    """

    kind: Literal["starting", "ready", "died", "unavailable", "closed", "reloaded", "reload_failed"]
    ready: Ready | None = None
    error: EngineError | None = None
    reloading: bool = False


class Supervisor:
    """Offer a client's methods over workers that come and go; ids are unique over all of them.

    After three deaths without a good answer between them requests fail with `worker_unavailable`; a new `Load` tries
    again. The model that was loading when a worker died is never loaded again unasked.

    Where the worker used a GPU this is what probably failed: the model is loaded once more, on the processor, and
    answers that were on their way go on there.
    """

    def __init__(
        self, command: Sequence[str] | None = None, *, on_state: Callable[[WorkerState], None] | None = None
    ) -> None:
        """Start the first worker; `on_state` comes from any thread."""
        self._command = command
        self._on_state = on_state
        # Callbacks of a client that has just died wait here until the method that uses it is through.
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._loaded: tuple[Load, LoadedModel] | None = None
        self._open: dict[int, OpenRequest] = {}
        self._open_loads = 0
        self._died_of_gpu: EngineClient | None = None
        self._deaths = 0
        self._closed = False
        self._client: EngineClient | None = None
        self._last_error: EngineError | None = None
        self._start()

    @property
    def model(self) -> LoadedModel | None:
        """Give the model that is loaded, or is being loaded again after a death."""
        with self._lock:
            return self._loaded[1] if self._loaded else None

    def submit(self, request: Request, on_event: EventCallback) -> int:
        """Send a request and return its id."""
        with self._lock:
            if self._client is None and isinstance(request, Load) and not self._closed:
                self._deaths = 0
                self._start()
            if self._client is not None:
                opened = OpenRequest(request, on_event, asked=True)
                first_id = self._submit_to(self._client, request, opened)
                if not opened.ended:
                    self._open[first_id] = opened
                return first_id
        request_id = next(self._ids)
        on_event(Failed.from_error(request_id, self._unavailable()))
        return request_id

    def cancel(self, request_id: int) -> None:
        """Ask for a request to end; nothing happens if it has ended."""
        with self._lock:
            opened = self._open.get(request_id)
            if opened is not None and opened.id is not None and self._client is not None:
                opened.cancelled = True
                self._client.cancel(opened.id)

    def call(self, request: Request, on_event: EventCallback | None = None) -> Result:
        """Send a request, wait for its end, return its result; raises EngineError; an interrupt cancels the request."""
        return wait_for(self, request, on_event)

    def close(self, timeout: float = 3.0) -> None:
        """End the worker and start no other."""
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        if client is not None:
            client.close(timeout)
        self._tell(WorkerState("closed"))

    def _start(self) -> None:
        """Start a worker, and in it the load of the model that the last one had."""
        self._tell(WorkerState("starting", reloading=self._loaded is not None))
        self._open_loads = 0
        try:
            self._client = EngineClient(self._command, on_ready=self._became_ready, on_exit=self._exited, ids=self._ids)
        except EngineError as error:
            self._give_up(error)
            return
        if self._loaded:
            self._submit_to(self._client, self._loaded[0], OpenRequest(self._loaded[0], self._reloaded, asked=False))

    def _submit_to(self, client: EngineClient, request: Request, opened: OpenRequest) -> int:
        """Send a request, and learn from its end which model is loaded and whether the worker is healthy."""
        self._open_loads += isinstance(request, Load)

        def watch(event: Event) -> None:
            if isinstance(event, Token | Progress):
                opened.give(event)
                return
            with self._lock:
                if client is self._client:
                    self._learn(request, event, opened.asked)
                if isinstance(event, Failed) and self._take_up(client, opened, event):
                    return
                if isinstance(event, Done | Failed):
                    opened.ended = True
                    self._open.pop(opened.first_id or 0, None)
            opened.give(event)

        opened.id = client.submit(request, watch)
        opened.first_id = opened.first_id or opened.id
        return opened.id

    def _take_up(self, client: EngineClient, opened: OpenRequest, event: Failed) -> bool:
        """Let the new worker do on the processor what the dead one did on a GPU; tell whether it does."""
        rest = opened.without_gpu()
        if event.code != "worker_died" or client is not self._died_of_gpu or self._client is None or rest is None:
            return False
        opened.first_id = opened.first_id or event.id
        if isinstance(rest, Chat) and opened.first_id is not None:
            opened.on_event(Notice(opened.first_id, "moved_to_processor", MOVED_TO_PROCESSOR))
        self._submit_to(self._client, rest, opened)
        return True

    def _learn(self, request: Request, event: Event, asked: bool) -> None:
        if isinstance(event, Notice) and event.model is not None and self._loaded:
            self._loaded = replace(self._loaded[0], gpu="avoid"), event.model
        if not isinstance(event, Done | Failed):
            return
        # Choosing adapters computes nothing, so it does not show that the worker is healthy.
        if isinstance(event, Done) and asked and not isinstance(request, UseAdapters):
            self._deaths = 0
        if isinstance(request, Load):
            self._open_loads -= 1
            result = event.result if isinstance(event, Done) else None
            self._loaded = (request, result.model) if isinstance(result, LoadResult) else None
        elif isinstance(request, Unload) and isinstance(event, Done):
            self._loaded = None
        elif isinstance(request, UseAdapters) and isinstance(event, Done) and self._loaded:
            load, model = self._loaded
            self._loaded = replace(load, adapters=request.adapters), model

    def _became_ready(self, ready: Ready) -> None:
        self._tell(WorkerState("ready", ready=ready, reloading=self.model is not None))

    def _exited(self, error: EngineError | None) -> None:
        """Replace a dead worker, or give up; called by its client before the open requests fail."""
        if error is None:
            return
        with self._lock:
            client, self._client = self._client, None
            if client is not None and self._used_gpu(client):
                self._died_of_gpu = client
                if self._loaded:
                    self._loaded = replace(self._loaded[0], gpu="avoid"), self._loaded[1]
            if self._open_loads:
                self._loaded = None
            if self._closed:
                return
            self._deaths += 1
            if self._deaths < DEATHS_IN_A_ROW:
                self._tell(WorkerState("died", error=error))
                self._start()
            else:
                self._give_up(error)

    def _used_gpu(self, client: EngineClient) -> bool:
        """Tell whether a worker computed on a GPU, or may have been loading a model onto one or looking for one."""
        if client.ready is None:
            return True
        if self._open_loads:
            return any(device.kind == "gpu" for device in client.ready.devices)
        return self._loaded is not None and self._loaded[1].gpu_layers > 0

    def _reloaded(self, event: Event) -> None:
        if isinstance(event, Done):
            self._tell(WorkerState("reloaded"))
        elif isinstance(event, Failed) and event.code != "worker_died":
            self._tell(WorkerState("reload_failed", error=event.to_error()))

    def _give_up(self, error: EngineError) -> None:
        self._loaded = None
        self._last_error = error
        self._tell(WorkerState("unavailable", error=self._unavailable()))

    def _unavailable(self) -> EngineError:
        details = None
        if self._last_error:
            details = f"{self._last_error.message}\n{self._last_error.details or ''}"
        sentence = "The engine is closed." if self._closed else "The engine does not stay alive."
        return EngineError("worker_unavailable", sentence, "Load a model again, or another one.", details)

    def _tell(self, state: WorkerState) -> None:
        if self._on_state:
            self._on_state(state)
