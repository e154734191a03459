"""Cure the known faults of a GGUF file into a new file."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from converter.errors import ConversionCancelled
from converter.gguf_stream import Progress
from converter.repair import repair
from engine.errors import EngineError
from engine.jobs.companion import companion_copied
from engine.jobs.events import JobProgress, RepairJob
from engine.jobs.pace import Pace


def repair_model(job: RepairJob, report: Callable[[JobProgress], None], stopped: Callable[[], bool]) -> dict[str, Any]:
    """Write `job.source` without its faults to `job.out`; return `path`, `size_bytes`, `repaired` and `remaining`.

    Raises EngineError, ConversionError, ConversionCancelled or OSError, after which nothing is left at `job.out`.
    """
    out = Path(job.out)
    if out.exists():
        raise EngineError("bad_request", f"There is already a file {out.name}.", "Choose another name.")
    pace = Pace()

    def on_progress(progress: Progress) -> None:
        if stopped():
            raise ConversionCancelled
        rate, left = pace.update(progress.done_bytes, progress.total_bytes)
        report(JobProgress("repair", progress.done, progress.total, "tensors", rate, left))

    with companion_copied(Path(job.source), out):
        result = repair(Path(job.source), out, on_progress)
    return {
        "path": str(out),
        "size_bytes": result.size_bytes,
        "repaired": [asdict(fault) for fault in result.repaired],
        "remaining": [asdict(fault) for fault in result.remaining],
    }
