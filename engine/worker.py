"""Serve the engine's protocol on standard input and output; docs/engine-protocol.md is the authority."""

from __future__ import annotations

import collections
import importlib.metadata
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import BinaryIO

from engine.busy import BusyMark, default_busy_file
from engine.channel import read_lines
from engine.errors import EngineError
from engine.gpu_record import GpuRecord, default_gpu_folder
from engine.progress import ReadingPace, Reporter
from engine.protocol import (
    PROTOCOL,
    Cancel,
    Chat,
    ChatResult,
    Count,
    Done,
    Event,
    Failed,
    Load,
    Logits,
    Ping,
    Ready,
    Request,
    Result,
    Shutdown,
    Stage,
    Token,
    Unload,
    UseAdapters,
)
from engine.runtime.cancellation import Cancellation
from engine.runtime.gpus import Gpus
from engine.runtime.native_log import NativeLog
from engine.runtime.session import Session
from engine.version import VERSION
from engine.wire import RequestError, decode_request, encode_event

_SECONDS_TO_END = 5.0


@dataclass(frozen=True, slots=True)
class Task:
    """Hold an open request."""

    id: int
    request: Request
    arrived: float
    cancellation: Cancellation = field(default_factory=Cancellation)


class Worker:
    """Execute requests in the order of arrival, while a reader thread serves cancel, ping and shutdown at once."""

    def __init__(self, requests: BinaryIO, events: BinaryIO, busy: BusyMark, gpus: GpuRecord) -> None:
        """Take the streams of the protocol, the mark that makes background work wait for answers, and the record."""
        self._requests = requests
        self._events = events
        self._busy = busy
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._open: dict[int, Task] = {}
        self._waiting: collections.deque[Task] = collections.deque()
        self._ending = False
        self._shutdown_id: int | None = None
        self._gpu_record = gpus
        self._gpus = Gpus(gpus)
        self._session = Session(NativeLog(), self._gpus)
        self._pace = ReadingPace()

    def run(self) -> None:
        """Serve until the shutdown or the end of the requests."""
        self._send(Ready(PROTOCOL, _versions(), self._gpus.look()))
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        while (task := self._next()) is not None:
            event = self._execute(task)
            with self._changed:
                del self._open[task.id]
            self._send(event)
        self._session.unload()
        if self._shutdown_id is not None:
            self._send(Done(self._shutdown_id))

    def _next(self) -> Task | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            return self._waiting.popleft() if self._waiting else None

    def _read(self) -> None:
        """Take requests until their stream ends; whatever happens then, the process ends too."""
        try:
            for line in read_lines(self._requests):
                self._take(line)
        finally:
            self._end(None)

    def _take(self, line: bytes) -> None:
        try:
            request_id, request = decode_request(line)
        except RequestError as error:
            known = error.request_id is not None and error.request_id not in self._open
            self._send(Failed.from_error(error.request_id if known else None, error))
            return
        match request:
            case Ping():
                self._send(Done(request_id))
            case Cancel():
                with self._changed:
                    if target := self._open.get(request.target):
                        target.cancellation.request()
                self._send(Done(request_id))
            case Shutdown():
                self._end(request_id)
            case _:
                self._enqueue(Task(request_id, request, time.perf_counter()))

    def _enqueue(self, task: Task) -> None:
        with self._changed:
            taken = task.id in self._open or self._ending
            if not taken:
                self._open[task.id] = task
                self._waiting.append(task)
                self._changed.notify_all()
        if taken:
            self._send(Failed(None, "bad_request", f"The id {task.id} is in use, or the worker is ending."))

    def _end(self, shutdown_id: int | None) -> None:
        """Cancel everything that is open, and make sure that the process ends even if native code hangs."""
        with self._changed:
            if self._ending:
                return
            self._ending = True
            self._shutdown_id = shutdown_id
            for task in self._open.values():
                task.cancellation.request()
            self._changed.notify_all()
        guard = threading.Timer(_SECONDS_TO_END, self._give_up)
        guard.daemon = True
        guard.start()

    def _give_up(self) -> None:
        """End at once; that this was asked for is not to be taken for a crash."""
        self._gpu_record.withdraw(os.getpid())
        os._exit(1)

    def _execute(self, task: Task) -> Event:
        """Do what a request asks and give its terminal event."""
        try:
            return Done(task.id, self._dispatch(task))
        except EngineError as error:
            return Failed.from_error(task.id, error)
        except MemoryError as error:
            sentence = "There is not enough memory for this."
            return Failed(task.id, "out_of_memory", sentence, "Close other programs.", repr(error))
        except Exception as error:
            traceback.print_exc()
            sentence = f"Something went wrong in the engine: {error}."
            return Failed(task.id, "internal", sentence, "Try again, and report this.", traceback.format_exc())

    def _dispatch(self, task: Task) -> Result:
        report = Reporter(self._send, task.id, self._pace)
        request, cancellation = task.request, task.cancellation
        match request:
            case Chat():
                if cancellation.requested:
                    return ChatResult("cancelled", "", 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0)
                return self._chat(task, request, report)
        cancellation.check()
        match request:
            case Load():
                return self._session.load(request, cancellation, report.loaded)
            case Unload():
                self._session.unload()
            case UseAdapters():
                self._session.use_adapters(request)
            case Count():
                return self._session.count(request)
            case Logits():
                return self._session.logits(request, cancellation, report.evaluated)
        return None

    def _chat(self, task: Task, request: Chat, report: Reporter) -> ChatResult:
        """Answer, and keep the mark fresh while it lasts."""

        def on_text(text: str, ids: tuple[int, ...]) -> None:
            self._busy.touch()
            self._send(Token(task.id, text, ids))

        def on_progress(stage: Stage, done: float, total: float) -> None:
            self._busy.touch()
            report.evaluated(stage, done, total)

        self._busy.touch()
        try:
            return self._session.chat(
                request,
                task.cancellation,
                arrived=task.arrived,
                on_text=on_text,
                on_dropped=report.dropped,
                on_progress=on_progress,
                on_approximate=report.approximate,
                on_moved=report.moved,
            )
        finally:
            self._busy.clear()

    def _send(self, event: Event) -> None:
        with self._sending:
            try:
                self._events.write(encode_event(event))
                self._events.flush()
            except OSError:
                # Nobody listens any more: there is nothing left to work for.
                os._exit(1)


def _versions() -> dict[str, str]:
    return {
        "phidelity": VERSION,
        "python": sys.version.split()[0],
        "llama-cpp-python": importlib.metadata.version("llama-cpp-python"),
    }


def main() -> None:
    """Keep the real standard output for the protocol, send native prints to standard error, and serve."""
    # The interrupt key of a terminal is for the parent, which then asks for the end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    Worker(sys.stdin.buffer, events, BusyMark(default_busy_file()), GpuRecord(default_gpu_folder())).run()
    sys.stderr.flush()
    # The reader thread may still wait for a line, and Python aborts when it takes standard input from under a thread.
    os._exit(0)


if __name__ == "__main__":
    main()
