"""Run a job from the command line: progress on standard error, the result on standard output."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import EXIT_STATUS
from engine.jobs.events import (
    Job,
    JobDone,
    JobEvent,
    JobFailed,
    JobProgress,
    TrainingAnswer,
    TrainingEstimate,
    TrainingEvaluation,
    TrainingNotice,
    TrainingStep,
)
from engine.jobs.handle import JobHandle, resume, start

POLL_SECONDS = 0.1


def _path_of(result: dict[str, Any]) -> str:
    return str(result["path"])


def follow_job(job: Job, as_json: bool, describe: Callable[[dict[str, Any]], str] = _path_of) -> int:
    """Run `job` in a temporary folder to its end, cancel it on Ctrl+C, and return the exit status.

    Without `as_json`, `describe` makes the text that is printed of the result.
    """
    with tempfile.TemporaryDirectory(prefix="phidelity-job-") as folder:
        return _end(_wait(start(job, Path(folder))), as_json, describe)


def follow_run(job: Job | None, folder: Path, as_json: bool, describe: Callable[[dict[str, Any]], str]) -> int:
    """Run `job` in `folder`, which stays, or go on with the run that is there; stop and save on Ctrl+C."""
    return _end(_wait(resume(folder) if job is None else start(job, folder)), as_json, describe)


def _end(outcome: JobDone | JobFailed, as_json: bool, describe: Callable[[dict[str, Any]], str]) -> int:
    """Print the result or why there is none, and return the exit status."""
    if isinstance(outcome, JobFailed):
        remedy = f" {outcome.remedy}" if outcome.remedy else ""
        print(f"engine: {outcome.message}{remedy}", file=sys.stderr)
        return EXIT_STATUS.get(outcome.code, 1)
    print(json.dumps(outcome.result) if as_json else describe(outcome.result))
    return 0


def _wait(handle: JobHandle) -> JobDone | JobFailed:
    while True:
        try:
            for event in handle.poll():
                if isinstance(event, JobDone | JobFailed):
                    _clear()
                    return event
                if isinstance(event, JobProgress):
                    _show(event)
                else:
                    _tell(event)
            time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            handle.cancel()


def _show(progress: JobProgress) -> None:
    """Rewrite one line on a terminal; write nothing into a file or a pipe."""
    if not sys.stderr.isatty():
        return
    done = f"{progress.done} of {progress.total} {progress.unit}" if progress.unit != "bytes" else ""
    rate = f" · {progress.bytes_per_second / 1e6:.0f} MB/s" if progress.bytes_per_second else ""
    left = f" · {progress.seconds_left:.0f} s left" if progress.seconds_left is not None else ""
    share = f" · {100 * progress.done / progress.total:.0f} %" if progress.total else ""
    print(f"\r\033[K{progress.stage} {done}{share}{rate}{left}", end="", file=sys.stderr, flush=True)


def _tell(event: JobEvent) -> None:
    """Write what a run reports: steps as one line that is rewritten, everything else as lines that stay."""
    match event:
        case TrainingStep():
            if sys.stderr.isatty():
                left = f" · {event.seconds_left:.0f} s left" if event.seconds_left is not None else ""
                rate = f"{event.tokens_per_second:.0f} tokens/s"
                line = f"step {event.step} of {event.steps} · loss {event.loss:.3f} · {rate}{left}"
                print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
            return
        case TrainingEstimate():
            size = f"{event.memory_bytes / 1e9:.1f} GB of memory, {event.disk_bytes / 1e9:.1f} GB of disk"
            line = f"{event.rows} rows, {event.steps} steps, about {event.seconds / 60:.0f} min, {size}"
            if event.left_out:
                line += "".join(f"\n  left out {count}: {why}" for why, count in event.reasons.items())
        case TrainingEvaluation():
            line = f"step {event.step}: loss {event.loss:.3f} on data that is not learned from"
        case TrainingAnswer():
            line = f"step {event.step}: {event.prompt}\n  before: {event.base}\n  now:    {event.tuned}"
        case TrainingNotice():
            line = event.message
        case _:
            return
    _clear()
    print(line, file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
