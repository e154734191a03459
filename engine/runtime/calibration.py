"""Measure how many threads suit a model on this machine, once, and remember it."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.protocol import MAX_THREADS
from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Context
from engine.runtime.hardware import physical_cores, processor_name
from engine.runtime.model import LanguageModel

SMALLEST_MODEL = 256 * 1024 * 1024
"""Below so many bytes of weights a token takes so little time that the choice cannot matter."""

_FILE_NAME = "threads.json"
_SECONDS = 0.5
_SECONDS_IN_ALL = 1.0
_FEWEST_ROUNDS = 2
_MOST_ROUNDS = 8
_ROUNDS_PER_LOSS = 4
_BATCH = 8
_SHORTEST_CONVERSATION = 64
# Less than this share of a step is noise, for which the usual choice is not given up.
_GAIN = 0.05


@dataclass(frozen=True, slots=True)
class Threads:
    """Hold how many threads write an answer (`decode`) and read a prompt (`batch`)."""

    decode: int
    batch: int


def measured_threads(
    context: Context, model: LanguageModel, folder: Path, usual: Threads, cancellation: Cancellation
) -> Threads:
    """Give a context the threads that measured best, now or at an earlier load, and return them.

    A small model keeps the usual ones. Raises EngineError `cancelled`.
    """
    if model.size_bytes < SMALLEST_MODEL:
        return usual
    cores, cache = physical_cores(), ThreadCache(folder)
    parts = (processor_name(), f"{cores} cores", model.architecture, model.quantization, str(model.size_bytes))
    key = ", ".join(parts)
    threads = cache.find(key)
    if threads is None:
        context.start(cancellation)
        threads = calibrate(context, usual, cores)
        cache.keep(key, threads)
    context.set_threads(threads.decode, threads.batch)
    return threads


def calibrate(context: Context, usual: Threads, cores: int, clock: Callable[[], float] = time.perf_counter) -> Threads:
    """Measure a few steps of each kind with the threads that could be better than the usual ones.

    Takes about a second; a model so slow that this says nothing keeps the usual threads. The context is empty
    afterwards and has the threads that were chosen. Raises EngineError, `cancelled` too.
    """
    if context.limit < _SHORTEST_CONVERSATION:
        return usual

    def write(threads: int) -> None:
        context.set_threads(threads, usual.batch)
        context.append(0, _ignore)

    def read(threads: int) -> None:
        context.clear()
        context.set_threads(usual.decode, threads)
        context.fill([0] * _BATCH, _ignore)

    end = clock() + _SECONDS_IN_ALL
    # The first step fetches the weights into the processor's reach and starts threads, which no later step does again.
    context.fill([0], _ignore)
    decode = fastest(write, _candidates(usual.decode, cores), clock) if clock() < end else usual.decode
    batch = fastest(read, _candidates(usual.batch, cores), clock) if clock() < end else usual.batch
    context.clear()
    context.set_threads(decode, batch)
    return Threads(decode, batch)


def fastest(step: Callable[[int], None], candidates: Sequence[int], clock: Callable[[], float]) -> int:
    """Give the candidate with the shortest steps; the first one unless another is clearly better.

    The candidates take turns, so that what else the machine does meets all of them, and two turns are the least that
    says anything.
    """

    def seconds(candidate: int) -> float:
        started = clock()
        step(candidate)
        return clock() - started

    usual = candidates[0]
    end = clock() + _SECONDS
    if len(candidates) == 1 or _FEWEST_ROUNDS * len(candidates) * seconds(usual) > 2 * _SECONDS:
        return usual
    rounds: list[dict[int, float]] = []
    while len(rounds) < _FEWEST_ROUNDS or (len(rounds) < _MOST_ROUNDS and clock() + sum(rounds[-1].values()) < end):
        rounds.append({candidate: seconds(candidate) for candidate in candidates})
    better = [candidate for candidate in candidates if _is_better(candidate, usual, rounds)]
    return min(better, key=lambda candidate: _median(candidate, rounds), default=usual)


class ThreadCache:
    """Keep the choices of a machine in a small file; one that is missing, damaged or read-only costs only time."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which is made when there is something to keep."""
        self._path = folder / _FILE_NAME

    def find(self, key: str) -> Threads | None:
        """Give what was chosen for a model on a machine."""
        match self._read().get(key):
            case [int(decode), int(batch)] if all(1 <= number <= MAX_THREADS for number in (decode, batch)):
                return Threads(decode, batch)
        return None

    def keep(self, key: str, threads: Threads) -> None:
        """Remember a choice beside the others."""
        choices = self._read() | {key: [threads.decode, threads.batch]}
        partial = self._path.with_name(f"{_FILE_NAME}.part")
        # Without the file the next load measures again.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(choices, indent=1), "utf-8")
            partial.replace(self._path)

    def _read(self) -> dict[str, object]:
        try:
            choices = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return choices if isinstance(choices, dict) else {}


def _candidates(usual: int, cores: int) -> tuple[int, ...]:
    """Give the numbers of threads to try, the usual one first."""
    tried = (usual, cores, max(1, cores - 1), max(1, cores // 2))
    return tuple(dict.fromkeys(tried))


def _is_better(candidate: int, usual: int, rounds: Sequence[dict[int, float]]) -> bool:
    """Tell whether a candidate was faster than the usual one by more than noise, and nearly always."""
    losses = sum(each[candidate] >= each[usual] * (1 - _GAIN) for each in rounds)
    return losses <= len(rounds) // _ROUNDS_PER_LOSS


def _median(candidate: int, rounds: Sequence[dict[int, float]]) -> float:
    return statistics.median(each[candidate] for each in rounds)


def _ignore(*progress: object) -> None:
    """Report nothing."""
