"""Run a job from the command line: progress on standard error, the result on standard output."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import EXIT_STATUS
from engine.jobs.events import Job, JobDone, JobFailed, JobProgress
from engine.jobs.handle import JobHandle, start

POLL_SECONDS = 0.1


def _path_of(result: dict[str, Any]) -> str:
    return str(result["path"])


def follow_job(job: Job, as_json: bool, describe: Callable[[dict[str, Any]], str] = _path_of) -> int:
    """Run `job` in a temporary folder to its end, cancel it on Ctrl+C, and return the exit status.

    Without `as_json`, `describe` makes the text that is printed of the result.
    """
    with tempfile.TemporaryDirectory(prefix="phidelity-job-") as folder:
        outcome = _wait(start(job, Path(folder)))
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
                if isinstance(event, JobProgress):
                    _show(event)
                else:
                    _clear()
                    return event
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


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
