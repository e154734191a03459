"""Define what a job is told and what it reports: the contents of `job.json` and `events.jsonl`."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from engine.errors import EngineError


@dataclass(frozen=True)
class ImportJob:
    """Ask for a checkpoint directory or a GGUF file to become a model.

    Attributes:
        source: checkpoint directory or GGUF file.
        out: GGUF file to write; it appears only when complete.
        quantization: file type in lower case (`q4_k_m`, `bf16`, ...); None keeps a GGUF as it is and means
            `q4_k_m` for a checkpoint.
        name: what the model is called; None takes it from the source.
        adapter: directory of a LoRA adapter that is merged into a checkpoint; None for none.
    """

    source: str
    out: str
    quantization: str | None = None
    name: str | None = None
    adapter: str | None = None
    kind: str = field(default="import", init=False)


@dataclass(frozen=True)
class QuantizeJob:
    """Ask for a GGUF file in another quantisation.

    Attributes:
        source, out: GGUF files; `out` appears only when complete.
        quantization: file type in lower case.
        imatrix: importance matrix file or None.
    """

    source: str
    out: str
    quantization: str
    imatrix: str | None = None
    kind: str = field(default="quantize", init=False)


@dataclass(frozen=True)
class RepairJob:
    """Ask for a GGUF file without the known faults of `source`; `out` appears only when complete."""

    source: str
    out: str
    kind: str = field(default="repair", init=False)


@dataclass(frozen=True)
class VerifyJob:
    """Ask for a comparison of a GGUF file with the checkpoint that it was made from.

    Attributes:
        model: GGUF file.
        checkpoint: directory of the reference.
        context: most tokens to compare; 0 means as far as the reference's special cases reach.
    """

    model: str
    checkpoint: str
    context: int = 0
    kind: str = field(default="verify", init=False)


Job = ImportJob | QuantizeJob | RepairJob | VerifyJob
JOB_KINDS: dict[str, type[Job]] = {
    "import": ImportJob,
    "quantize": QuantizeJob,
    "repair": RepairJob,
    "verify": VerifyJob,
}


@dataclass(frozen=True)
class JobProgress:
    """Report how far a job is.

    Attributes:
        stage: `convert`, `copy`, `quantize`, `repair`, `reference` or `compare`.
        done, total: in `unit`s (`tensors`, `bytes`, `sequences`, `positions`); `total` 0 means unknown.
        bytes_per_second: of the result; 0 when unknown.
        seconds_left: estimate; None when unknown.
    """

    stage: str
    done: int
    total: int
    unit: str
    bytes_per_second: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True)
class JobDone:
    """Report success; `result` is specific to the kind of job (`path`, `size_bytes`, `notes`, ...)."""

    result: dict[str, Any]


@dataclass(frozen=True)
class JobFailed:
    """Report the end without a result: code `cancelled`, `job_died` or a code of `engine.errors`."""

    code: str
    message: str
    remedy: str | None = None
    details: str | None = None


JobEvent = JobProgress | JobDone | JobFailed
EVENT_NAMES: dict[str, type[JobProgress] | type[JobDone] | type[JobFailed]] = {
    "progress": JobProgress,
    "done": JobDone,
    "error": JobFailed,
}


def encode_job(job: Job) -> str:
    """Write a job as the text of `job.json`."""
    return json.dumps(dataclasses.asdict(job), ensure_ascii=False, indent=1)


def decode_job(text: str) -> Job:
    """Read the text of `job.json`. Raises EngineError `bad_request`."""
    try:
        values = json.loads(text)
        kind = JOB_KINDS[values.pop("kind")]
        return kind(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = "The job's description cannot be read."
        raise EngineError("bad_request", message, "Start the job again.", str(error)) from error


def encode_event(event: JobEvent) -> str:
    """Write an event as one line of `events.jsonl`, without the line end."""
    name = next(name for name, kind in EVENT_NAMES.items() if isinstance(event, kind))
    return json.dumps({"event": name, **dataclasses.asdict(event)}, ensure_ascii=False, separators=(",", ":"))


def decode_event(line: str) -> JobEvent | None:
    """Read one line of `events.jsonl`; None for a line that is not an event (cut short by a power failure, say)."""
    try:
        values = json.loads(line)
        kind = EVENT_NAMES[values.pop("event")]
        return kind(**values)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
