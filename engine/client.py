"""Start a worker and talk to it: requests in, events out, one terminal event per request."""

from __future__ import annotations

import collections
import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, BinaryIO, Protocol, cast

from engine.channel import LineWriter, read_lines
from engine.errors import EngineError
from engine.gpu_record import GpuRecord, default_gpu_folder
from engine.launch import child_environment, python_command
from engine.process_end import explain_end
from engine.protocol import (
    PROTOCOL,
    Cancel,
    Done,
    Event,
    Failed,
    Ready,
    Request,
    Result,
    Shutdown,
)
from engine.wire import decode_event, encode_request

EventCallback = Callable[[Event], None]

_LOG_LINES_KEPT = 60


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
        cancel_patience: float = 10.0,
    ) -> None:
        """Start the worker; raises EngineError `worker_unavailable` when the system cannot.

        `on_exit` is called once, with None after `close`, before the open requests fail: their callbacks can already
        use what replaces this client. A worker that has not ended a cancelled request after `cancel_patience` seconds
        is killed.
        """
        self._on_ready = on_ready
        self._on_exit = on_exit
        self._ids = ids or itertools.count(1)
        self._cancel_patience = cancel_patience
        self._lock = threading.Lock()
        self._open: dict[int, EventCallback] = {}
        self._ready: Ready | None = None
        self._end: EngineError | None = None
        self._closing = False
        self._kill_reason: str | None = None
        self._log: collections.deque[str] = collections.deque(maxlen=_LOG_LINES_KEPT)
        self._process = _start(command or python_command("engine.worker"))
        self._writer = LineWriter(_pipe(self._process.stdin), "engine-writer")
        self._log_reader = threading.Thread(target=self._read_log, name="engine-log", daemon=True)
        self._reader = threading.Thread(target=self._read_events, name="engine-reader", daemon=True)
        self._log_reader.start()
        self._reader.start()

    @property
    def ready(self) -> Ready | None:
        """Give the worker's first event, or None while it starts."""
        return self._ready

    @property
    def process_id(self) -> int:
        """Give the id of the worker's process."""
        return self._process.pid

    def submit(self, request: Request, on_event: EventCallback) -> int:
        """Send a request and return its id; a worker that is gone answers with `Failed` (`worker_died`)."""
        request_id = next(self._ids)
        with self._lock:
            end = self._end
            if end is None:
                self._open[request_id] = on_event
                self._writer.send(encode_request(request_id, request))
        if end is not None:
            on_event(Failed.from_error(request_id, end))
        return request_id

    def cancel(self, request_id: int) -> None:
        """Ask for a request to end; nothing happens if it has ended."""
        with self._lock:
            if request_id not in self._open:
                return
        self.submit(Cancel(request_id), lambda event: None)
        watch = threading.Timer(self._cancel_patience, self._kill_if_open, [request_id])
        watch.daemon = True
        watch.start()

    def call(self, request: Request, on_event: EventCallback | None = None) -> Result:
        """Send a request, wait for its end, return its result; raises EngineError; an interrupt cancels the request."""
        return wait_for(self, request, on_event)

    def close(self, timeout: float = 3.0) -> None:
        """End the worker: ask, then terminate, then kill, each after `timeout` seconds."""
        with self._lock:
            self._closing = True
        self._writer.send(encode_request(next(self._ids), Shutdown()))
        self._writer.close(timeout)
        for step in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(timeout)
                break
            except subprocess.TimeoutExpired:
                step()
        # What it was doing is not to blame for this end.
        GpuRecord(default_gpu_folder()).withdraw(self._process.pid)
        if threading.current_thread() is not self._reader:
            self._reader.join()

    def _read_events(self) -> None:
        for line in read_lines(_pipe(self._process.stdout)):
            try:
                event = decode_event(line)
            except EngineError as error:
                self._log.append(f"unreadable event ({error.message}): {line[:200]!r}")
                continue
            if self._kill_reason is None:
                self._deliver(event)
        self._finish()

    def _deliver(self, event: Event) -> None:
        if isinstance(event, Ready):
            self._ready = event
            if event.protocol != PROTOCOL:
                self._kill(f"The engine speaks protocol {event.protocol} where {PROTOCOL} is needed.")
            elif self._on_ready:
                self._on_ready(event)
            return
        if event.id is None:
            self._log.append(f"the worker could not read a request: {event}")
            return
        ends = isinstance(event, Done | Failed)
        with self._lock:
            callback = self._open.pop(event.id, None) if ends else self._open.get(event.id)
        if callback:
            _call_back(callback, event)

    def _finish(self) -> None:
        """Wait for the process after the end of its stream, tell the owner, and fail what is open."""
        try:
            status = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._log_reader.join(1.0)
        end = explain_end(status, list(self._log), self._kill_reason)
        with self._lock:
            self._end = end
            left, self._open = self._open, {}
            closing = self._closing
        self._writer.close(1.0)
        for stream in (self._process.stdout, self._process.stderr):
            _pipe(stream).close()
        if self._on_exit:
            self._on_exit(None if closing else end)
        for request_id, callback in left.items():
            _call_back(callback, Failed.from_error(request_id, end))

    def _read_log(self) -> None:
        for line in read_lines(_pipe(self._process.stderr)):
            self._log.append(line.decode("utf-8", errors="replace").rstrip())

    def _kill_if_open(self, request_id: int) -> None:
        with self._lock:
            if request_id not in self._open:
                return
        self._kill("The engine did not react and was ended.")

    def _kill(self, reason: str) -> None:
        self._kill_reason = reason
        self._process.kill()


class Submitter(Protocol):
    """Accept requests: a client or a supervisor."""

    def submit(self, request: Request, on_event: EventCallback) -> int:
        """Send a request and return its id."""

    def cancel(self, request_id: int) -> None:
        """Ask for a request to end."""


def wait_for(engine: Submitter, request: Request, on_event: EventCallback | None = None) -> Result:
    """Send a request, wait for its end, return its result; raises EngineError.

    The request is cancelled when the interrupt key is pressed or `on_event` raises; that exception goes on.
    """
    ended = threading.Event()
    last: list[Done | Failed] = []
    faults: list[Exception] = []

    def follow(event: Event) -> None:
        if on_event and not faults:
            try:
                on_event(event)
            except Exception as error:
                faults.append(error)
        if isinstance(event, Done | Failed):
            last.append(event)
            ended.set()

    request_id = engine.submit(request, follow)
    try:
        # Waiting in steps keeps the interrupt key alive on Windows.
        while not ended.wait(0.2):
            if faults:
                raise faults[0]
    except BaseException:
        engine.cancel(request_id)
        ended.wait()
        raise
    if faults:
        raise faults[0]
    event = last[0]
    if isinstance(event, Failed):
        raise event.to_error()
    return event.result


def _call_back(callback: EventCallback, event: Event) -> None:
    """Report a fault of a callback as an uncaught error, and go on reading events."""
    try:
        callback(event)
    except Exception:
        sys.excepthook(*sys.exc_info())


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the worker apart from the terminal, whose interrupt key must reach only its parent."""
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=child_environment(), **apart)
    except OSError as error:
        sentence = "The engine could not be started."
        raise EngineError("worker_unavailable", sentence, "Install Phidelity again.", str(error)) from error


def _pipe(stream: IO[bytes] | None) -> BinaryIO:
    assert stream is not None
    return cast(BinaryIO, stream)
