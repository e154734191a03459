"""Say in words how a worker process ended."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from engine.errors import EngineError

_OUT_OF_MEMORY = ("failed to allocate", "unable to allocate", "out of memory", "bad_alloc", "MemoryError")
_WINDOWS_CRASHES = {0xC0000005: "a memory access violation", 0xC000001D: "an illegal instruction"}
_MEMORY_REMEDY = "Close other programs, or choose a smaller context or a smaller model."
_REMEDY = "What was written so far is kept; send the message again."


def explain_end(status: int, log: Sequence[str], kill_reason: str | None = None) -> EngineError:
    """Turn an exit status, the last lines of the log, and why we killed it if we did, into a `worker_died` error."""
    details = "\n".join([*log, f"exit status {status}"])
    if kill_reason is not None:
        return EngineError("worker_died", kill_reason, _REMEDY, details)
    if any(mark in line for line in log for mark in _OUT_OF_MEMORY):
        return EngineError("worker_died", "The engine ran out of memory and ended.", _MEMORY_REMEDY, details)
    if sys.platform != "win32" and status == -signal.SIGKILL:
        sentence = "The engine was killed, most likely because memory ran out."
        return EngineError("worker_died", sentence, _MEMORY_REMEDY, details)
    return EngineError("worker_died", f"The engine {_manner(status)}.", _REMEDY, details)


def _manner(status: int) -> str:
    if sys.platform == "win32":
        crash = _WINDOWS_CRASHES.get(status & 0xFFFFFFFF)
        return f"crashed ({crash})" if crash else f"ended unexpectedly with status {status}"
    if status == -signal.SIGABRT:
        return "stopped itself because an internal check failed"
    if status < 0:
        return f"crashed ({signal.strsignal(-status) or f'signal {-status}'})"
    return f"ended unexpectedly with status {status}" if status else "ended unexpectedly"
