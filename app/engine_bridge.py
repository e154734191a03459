"""Bring the engine's events into the GUI thread as Qt signals.

bridge = EngineBridge()                     # starts the worker; bridge.close() ends it
bridge.load(Load(path))                     # bridge.state tells how it goes, bridge.state_changed when
answer = bridge.chat(Chat(messages))        # answer.token_arrived(str) ... then answer.finished or answer.failed
answer.cancel()
bridge.count(messages, num_crops, lambda result: ...)   # only if it succeeds
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal

from engine.errors import EngineError
from engine.protocol import (
    Adapter,
    Chat,
    ChatResult,
    Count,
    CountResult,
    Done,
    Event,
    Failed,
    Load,
    LoadedModel,
    LoadResult,
    Message,
    Notice,
    Progress,
    Ready,
    Request,
    Token,
    Unload,
    UseAdapters,
)
from engine.supervisor import Supervisor, WorkerState


@dataclass(frozen=True)
class EngineState:
    """Tell which model the engine has: `none`, `loading` (with the fraction, once known), `ready` or `failed`."""

    kind: Literal["none", "loading", "ready", "failed"] = "none"
    path: str = ""
    model: LoadedModel | None = None
    fraction: float | None = None
    error: EngineError | None = None


class Answering(QObject):
    """Be one answer on its way; exactly one of `finished` and `failed` ends it."""

    progressed = Signal(object)
    token_arrived = Signal(str)
    noticed = Signal(object)
    finished = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject) -> None:
        """Wait for events."""
        super().__init__(parent)
        self._cancel: Callable[[], None] = lambda: None
        self._ended = False

    def on_cancel(self, cancel: Callable[[], None]) -> None:
        """Say what ends it early."""
        self._cancel = cancel

    def cancel(self) -> None:
        """Ask for it to end; it still ends with `finished` or `failed`."""
        self._cancel()

    def take_adapters(self, event: Event) -> None:
        """End with the failure to use the adapters, if there is one, and hear no more of the answer."""
        if isinstance(event, Failed) and not self._ended:
            self.take(event)
            self._cancel()

    def take(self, event: Event) -> None:
        """Turn an event into a signal."""
        if self._ended:
            return
        match event:
            case Token(text=text):
                self.token_arrived.emit(text)
            case Progress():
                self.progressed.emit(event)
            case Notice():
                self.noticed.emit(event)
            case Done(result=ChatResult() as result):
                self.finished.emit(result)
            case Failed():
                self.failed.emit(event.to_error())
        if isinstance(event, Done | Failed):
            self._ended = True
            self.deleteLater()


class EngineBridge(QObject):
    """Wrap the supervisor: requests from the GUI thread, signals in the GUI thread."""

    state_changed = Signal()
    _posted = Signal(object)

    def __init__(self, command: Sequence[str] | None = None, parent: QObject | None = None) -> None:
        """Start the worker; `command` replaces the usual one."""
        super().__init__(parent)
        self._state = EngineState()
        self._load_id: int | None = None
        self._load_ticket: object = None
        self.ready: Ready | None = None
        # Events come from the reader thread; a queued signal brings what is to be done with them here.
        self._posted.connect(lambda action: action(), Qt.ConnectionType.QueuedConnection)
        self._supervisor = Supervisor(command, on_state=lambda state: self._post(lambda: self._worker_changed(state)))

    @property
    def state(self) -> EngineState:
        """Return which model the engine has."""
        return self._state

    def load(self, request: Load) -> None:
        """Load a model in place of the present one."""
        self._set_state(EngineState("loading", request.path))
        ticket = object()
        self._load_ticket = ticket
        self._load_id = self._submit(request, lambda event: self._loading(ticket, request, event))

    def cancel_load(self) -> None:
        """Ask for the load under way to end."""
        if self._load_id is not None:
            self._supervisor.cancel(self._load_id)

    def unload(self) -> None:
        """Give the model's memory back."""
        self._set_state(EngineState())
        self._submit(Unload(), lambda event: None)

    def chat(self, request: Chat, adapters: tuple[Adapter, ...] = ()) -> Answering:
        """Ask for an answer written with these adapters; while a model loads it waits for it.

        Where the adapters cannot be used the answer fails, rather than being one that is not what was asked for.
        """
        answering = Answering(self)
        # Both requests go at once, so that no other chat's adapters come between them.
        self._submit(UseAdapters(adapters), answering.take_adapters)
        request_id = self._submit(request, lambda event: self._answering(answering, event))
        answering.on_cancel(lambda: self._supervisor.cancel(request_id))
        return answering

    def count(self, messages: Sequence[Message], num_crops: int, on_result: Callable[[CountResult], object]) -> None:
        """Count the tokens of a conversation with its pictures."""

        def take(event: Event) -> None:
            if isinstance(event, Done) and isinstance(event.result, CountResult):
                on_result(event.result)

        self._submit(Count(tuple(messages), num_crops), take)

    def worker_memory(self) -> tuple[int, int] | None:
        """Return the bytes of memory that the worker has in use and those that the computer has."""
        import psutil  # the window does not wait for it at its start

        try:
            children = psutil.Process().children()
            worker = next((child for child in children if "engine.worker" in child.cmdline()), None)
            return (worker.memory_info().rss, psutil.virtual_memory().total) if worker else None
        except psutil.Error:
            return None

    def close(self) -> None:
        """End the worker."""
        self._supervisor.close()

    def _submit(self, request: Request, on_event: Callable[[Event], object]) -> int:
        return self._supervisor.submit(request, lambda event: self._post(lambda: on_event(event)))

    def _post(self, action: Callable[[], object]) -> None:
        self._posted.emit(action)

    def _set_state(self, state: EngineState) -> None:
        self._state = state
        self.state_changed.emit()

    def _answering(self, answering: Answering, event: Event) -> None:
        """Follow an answer, in the middle of which the model may move from a GPU to the processor."""
        if isinstance(event, Notice) and event.model is not None and self._state.kind == "ready":
            self._set_state(EngineState("ready", self._state.path, event.model))
        answering.take(event)

    def _loading(self, ticket: object, request: Load, event: Event) -> None:
        """Follow a load, unless another one has been asked for since."""
        if ticket is not self._load_ticket:
            return
        match event:
            case Progress(done=done, total=total) if total:
                self._set_state(EngineState("loading", request.path, fraction=done / total))
            case Done(result=LoadResult(model=model)):
                self._load_id = None
                self._set_state(EngineState("ready", request.path, model))
            case Failed(code="cancelled"):
                self._load_id = None
                self._set_state(EngineState())
            case Failed():
                self._load_id = None
                self._set_state(EngineState("failed", request.path, error=event.to_error()))

    def _worker_changed(self, worker: WorkerState) -> None:
        """Follow the worker's deaths; a new one loads the model again by itself."""
        if worker.ready is not None:
            self.ready = worker.ready
            self.state_changed.emit()
        if worker.kind == "unavailable":
            self._set_state(EngineState("failed", self._state.path, error=worker.error))
        elif worker.kind == "starting" and worker.reloading:
            self._set_state(EngineState("loading", self._state.path, self._state.model))
        elif worker.kind in ("reloaded", "reload_failed"):
            self._reloaded(worker)
        elif worker.kind == "died" and self._state.kind == "ready":
            self._set_state(EngineState("none", self._state.path, error=worker.error))

    def _reloaded(self, worker: WorkerState) -> None:
        if self._state.kind != "loading" or self._load_id is not None:
            return
        if worker.kind == "reloaded":
            self._set_state(EngineState("ready", self._state.path, self._supervisor.model))
        else:
            self._set_state(EngineState("failed", self._state.path, error=worker.error))
