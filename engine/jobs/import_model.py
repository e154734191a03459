"""Make a model of the library from a checkpoint directory or a GGUF file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from converter.convert import Progress, convert
from converter.errors import ConversionCancelled
from converter.gguf_file import read_header
from engine.errors import EngineError
from engine.jobs.companion import companion_copied
from engine.jobs.events import ImportJob, JobProgress, QuantizeJob
from engine.jobs.ggml_quantizer import GgmlQuantizer
from engine.jobs.output import partial_file
from engine.jobs.pace import Pace
from engine.jobs.quantize_model import quantize_model
from engine.library.folders import DEFAULT_QUANTIZATION
from engine.library.scanner import quantization_name

COPY_CHUNK_BYTES = 16 << 20


def import_model(job: ImportJob, report: Callable[[JobProgress], None], stopped: Callable[[], bool]) -> dict[str, Any]:
    """Convert or copy `job.source` to `job.out`; return `path`, `size_bytes` and perhaps `notes` for the user.

    Raises EngineError, ConversionError, ConversionCancelled or OSError, after which nothing is left at `job.out`.
    """
    source = Path(job.source)
    out = Path(job.out)
    if out.exists():
        raise EngineError("bad_request", f"There is already a model file {out.name}.", "Choose another name.")
    if job.adapter is not None and source.suffix.lower() == ".gguf":
        sentence = "An adapter can only be merged into a checkpoint, not into a GGUF file."
        raise EngineError("bad_request", sentence, "Import the checkpoint that the GGUF file was made from.")
    out.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix.lower() == ".gguf":
        return _import_gguf(job, source, out, report, stopped)
    return _import_checkpoint(job, source if source.is_dir() else source.parent, out, report, stopped)


def _import_checkpoint(
    job: ImportJob,
    source: Path,
    out: Path,
    report: Callable[[JobProgress], None],
    stopped: Callable[[], bool],
) -> dict[str, Any]:
    pace = Pace()

    def on_progress(progress: Progress) -> None:
        if stopped():
            raise ConversionCancelled
        rate, left = pace.update(progress.done_bytes, progress.total_bytes)
        report(JobProgress("convert", progress.done, progress.total, "tensors", rate, left))

    with GgmlQuantizer() as quantizer:
        result = convert(
            source,
            out,
            outtype=job.quantization or DEFAULT_QUANTIZATION,
            quantizer=quantizer,
            name=job.name,
            adapter=None if job.adapter is None else Path(job.adapter),
            progress=on_progress,
        )
    return {"path": str(out), "size_bytes": result.size_bytes, "notes": list(result.warnings)}


def _import_gguf(
    job: ImportJob,
    source: Path,
    out: Path,
    report: Callable[[JobProgress], None],
    stopped: Callable[[], bool],
) -> dict[str, Any]:
    present = quantization_name(read_header(source))
    if job.quantization and job.quantization.upper() != present:
        return quantize_model(QuantizeJob(job.source, job.out, job.quantization), report, stopped)
    with companion_copied(source, out):
        _copy(source, out, report, stopped)
    return {"path": str(out), "size_bytes": out.stat().st_size}


def _copy(source: Path, out: Path, report: Callable[[JobProgress], None], stopped: Callable[[], bool]) -> None:
    total = source.stat().st_size
    pace = Pace()
    with partial_file(out, total) as partial, open(source, "rb") as reader, open(partial, "wb") as writer:
        done = 0
        while chunk := reader.read(COPY_CHUNK_BYTES):
            if stopped():
                raise ConversionCancelled
            writer.write(chunk)
            done += len(chunk)
            rate, left = pace.update(done, total)
            report(JobProgress("copy", done, total, "bytes", rate, left))
        writer.flush()
        os.fsync(writer.fileno())
