"""Define what a job is told and what it reports: the contents of `job.json` and `events.jsonl`."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True)
class TrainJob:
    """Ask for a model trained further on local data; the job's folder is the run.

    Attributes:
        base: checkpoint directory, or a model of the library that can be unpacked (`starter`).
        data: file of conversations, preferences or text, as the method needs.
        method: `lora`, `qlora` (4-bit base, CUDA only), `full`, `dpo` or `pretrain`.
        validation: file to measure on; empty: `validation_share` of the data is kept apart.
        epochs, steps: how often all data is read; at most so many steps (0: no limit).
        batch_size: conversations, pairs or pieces of text per step.
        learning_rate: its peak; 0: chosen by the method. `warmup_share` of the steps lead up to it.
        projector_learning_rate: that of a vision model's projector; 0: chosen.
        num_crops: into how many crops a picture is cut at most.
        rank, alpha, dropout: of the adapters; `upper_layers` 0: adapters in all layers.
        max_length: tokens beyond which a sample is cut; `row_tokens`: length of packed rows (0: chosen).
        beta: how strongly DPO holds on to the base.
        precision: `auto`, `bfloat16` or `float32`.
        threads: 0: one for each physical core.
        checkpoint_steps: steps between checkpoints, measurements and sample answers; 0: chosen.
        sample_prompts: questions to answer at checkpoints; empty: taken from the validation data.
        sample_tokens: longest sample answer; 0: none.
        merged: quantisation of the merged model to write at the end (`q8_0`, ...); empty: none. `export_adapter`
            asks for the adapter as GGUF.
        cache: folder for unpacked bases; empty: the user's.
        busy_file: training waits while this file was touched in the last seconds; empty: the one of the user's workers.
        models_dir: the library; empty: the user's.
    """

    base: str
    data: str
    method: str = "lora"
    validation: str = ""
    validation_share: float = 0.05
    epochs: float = 3.0
    steps: int = 0
    batch_size: int = 8
    learning_rate: float = 0.0
    projector_learning_rate: float = 0.0
    num_crops: int = 4
    warmup_share: float = 0.05
    weight_decay: float = 0.0
    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    upper_layers: int = 0
    max_length: int = 1024
    row_tokens: int = 0
    beta: float = 0.1
    precision: str = "auto"
    threads: int = 0
    seed: int = 0
    checkpoint_steps: int = 0
    sample_prompts: Sequence[str] = ()
    sample_tokens: int = 64
    export_adapter: bool = True
    merged: str = ""
    cache: str = ""
    busy_file: str = ""
    models_dir: str = ""
    kind: str = field(default="train", init=False)


@dataclass(frozen=True)
class InstallTrainingJob:
    """Ask for the packages that training needs.

    Attributes:
        folder: of the environment.
        build: `cpu` or `cuda`.
        wheels: folder with all wheels, so that nothing is downloaded; empty: they are downloaded.
        lock: list of the packages; empty: the program's.
    """

    folder: str
    build: str
    wheels: str = ""
    lock: str = ""
    kind: str = field(default="install-training", init=False)


Job = ImportJob | QuantizeJob | RepairJob | VerifyJob | TrainJob | InstallTrainingJob
JOB_KINDS: dict[str, type[Job]] = {
    "import": ImportJob,
    "quantize": QuantizeJob,
    "repair": RepairJob,
    "verify": VerifyJob,
    "train": TrainJob,
    "install-training": InstallTrainingJob,
}


@dataclass(frozen=True)
class JobProgress:
    """Report how far a job is.

    Attributes:
        stage: `convert`, `copy`, `quantize`, `repair`, `reference`, `compare`, or of training `prepare`, `pictures`,
            `measure`, `export` and `check`, or of an installation `download`, `unpack` and `check`.
        done, total: in `unit`s (`tensors`, `bytes`, `sequences`, `positions`, `crops`); `total` 0 means unknown.
        bytes_per_second: of the result; 0 when unknown.
        seconds_left: estimate; None when unknown.
        item: what of it is worked on (a package); empty: nothing to name.
    """

    stage: str
    done: int
    total: int
    unit: str
    bytes_per_second: float = 0.0
    seconds_left: float | None = None
    item: str = ""


@dataclass(frozen=True)
class TrainingEstimate:
    """Report what a run will take, measured on a few of its own rows.

    Attributes:
        steps, tokens: of the whole run.
        seconds: how long it will take.
        memory_bytes, memory_free: the most it will need, and what is free.
        disk_bytes: what checkpoints and results will take.
        trained, parameters: how many numbers are trained, and how many there are.
        recomputes: whether gradient checkpointing trades time for memory.
        precision: type of the products.
        rows, left_out: data that is used, and that was refused.
        reasons: why rows were refused, with counts.
    """

    steps: int
    tokens: int
    seconds: float
    memory_bytes: int
    memory_free: int
    disk_bytes: int
    trained: int
    parameters: int
    recomputes: bool
    precision: str
    rows: int
    left_out: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingStep:
    """Report one step; a step that comes again after a resumption replaces the former.

    Attributes:
        step, steps: number of the step (from 1) and of all.
        epoch: how often the data has been read, in fractions.
        loss: mean over the step; nats per learned token, or DPO's loss per pair.
        learning_rate, gradient_norm: of the step (before clipping).
        tokens_per_second: tokens read, over the last seconds, without waiting.
        seconds_left: estimate; None when unknown.
    """

    step: int
    steps: int
    epoch: float
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    seconds_left: float | None


@dataclass(frozen=True)
class TrainingEvaluation:
    """Report the loss on data that is not learned from; step 0 is the base itself."""

    step: int
    loss: float


@dataclass(frozen=True)
class TrainingAnswer:
    """Show what the base and the trained model answer to the same prompt after `step` steps."""

    step: int
    prompt: str
    base: str
    tuned: str


@dataclass(frozen=True)
class TrainingNotice:
    """Report a change of what the run does: code `started`, `paused`, `waiting`, `continued` or `saved`."""

    code: str
    message: str
    step: int


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


TrainingEvent = TrainingEstimate | TrainingStep | TrainingEvaluation | TrainingAnswer | TrainingNotice
JobEvent = JobProgress | TrainingEvent | JobDone | JobFailed
EVENT_NAMES: dict[str, type[JobEvent]] = {
    "progress": JobProgress,
    "estimate": TrainingEstimate,
    "step": TrainingStep,
    "evaluation": TrainingEvaluation,
    "answer": TrainingAnswer,
    "notice": TrainingNotice,
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
