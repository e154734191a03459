"""Check what a run was told, and fill in what was left to us: defaults for a small set on a laptop."""

import dataclasses
import math
from dataclasses import dataclass, replace

from engine.errors import EngineError
from engine.jobs.events import TrainJob
from engine.protocol import MAX_CROPS

METHODS = ("lora", "qlora", "full", "dpo", "pretrain")
ADAPTER_METHODS = ("lora", "qlora", "dpo")
# Ours: the report names no learning rates.
LEARNING_RATES = {"lora": 2e-4, "qlora": 2e-4, "full": 2e-5, "dpo": 2e-5, "pretrain": 1e-4}
PROJECTOR_LEARNING_RATE = 2e-5
CHECKPOINTS_PER_RUN = 10
FEWEST_STEPS_BETWEEN, MOST_STEPS_BETWEEN = 5, 200


@dataclass(frozen=True)
class Limit:
    """Bound a number of a job; `above` excludes the lowest value itself."""

    name: str
    lowest: float
    highest: float
    above: bool = False


LIMITS = (
    Limit("epochs", 0, 1000, above=True),
    Limit("steps", 0, 10_000_000),
    Limit("batch_size", 1, 4096),
    Limit("learning_rate", 0, 1),
    Limit("projector_learning_rate", 0, 1),
    Limit("num_crops", 1, MAX_CROPS),
    Limit("warmup_share", 0, 1),
    Limit("weight_decay", 0, 10),
    Limit("rank", 1, 1024),
    Limit("alpha", 0, 4096, above=True),
    Limit("dropout", 0, 0.9),
    Limit("upper_layers", 0, 1000),
    Limit("max_length", 8, 1_000_000),
    Limit("row_tokens", 0, 1_000_000),
    Limit("beta", 0, 100, above=True),
    Limit("validation_share", 0, 0.9),
    Limit("checkpoint_steps", 0, 10_000_000),
    Limit("sample_tokens", 0, 4096),
    Limit("threads", 0, 1024),
    Limit("seed", 0, 2**31 - 1),
)


def check_job(job: TrainJob) -> TrainJob:
    """Return the job with its learning rates chosen. Raises EngineError `bad_request`."""
    if job.method not in METHODS:
        raise _refusal(f"There is no method {job.method!r}.", f"Choose one of {', '.join(METHODS)}.")
    for field in dataclasses.fields(job):
        if field.type is str and not isinstance(getattr(job, field.name), str):
            raise _refusal(f"{field.name.replace('_', ' ').capitalize()} must be a text.", "Put it in quotes.")
    prompts = job.sample_prompts
    if not isinstance(prompts, (list, tuple)) or not all(isinstance(prompt, str) for prompt in prompts):
        raise _refusal("Sample prompts must be a list of texts.", "Write them in square brackets.")
    if job.precision not in ("auto", "bfloat16", "float32"):
        raise _refusal(f"There is no precision {job.precision!r}.", "Choose auto, bfloat16 or float32.")
    for limit in LIMITS:
        value = getattr(job, limit.name)
        valid = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not valid or not limit.lowest <= value <= limit.highest or (limit.above and value == limit.lowest):
            bound = "above" if limit.above else "from"
            sentence = f"{limit.name.replace('_', ' ').capitalize()} cannot be {value}."
            raise _refusal(sentence, f"Choose a number {bound} {limit.lowest:g} to {limit.highest:g}.")
    if type(job.num_crops) is not int:
        raise _refusal(f"Num crops cannot be {job.num_crops}.", "Choose a whole number.")
    return replace(
        job,
        learning_rate=job.learning_rate or LEARNING_RATES[job.method],
        projector_learning_rate=job.projector_learning_rate or PROJECTOR_LEARNING_RATE,
    )


def steps_of_run(job: TrainJob, n_items: int) -> int:
    """Return how many steps the run has; the last epoch's incomplete batch counts as a step."""
    per_epoch = math.ceil(n_items / job.batch_size)
    steps = max(1, round(per_epoch * job.epochs))
    return min(steps, job.steps) if job.steps else steps


def steps_between_checkpoints(job: TrainJob, total_steps: int) -> int:
    """Return after how many steps the run saves, measures and shows answers."""
    return job.checkpoint_steps or max(
        FEWEST_STEPS_BETWEEN, min(total_steps // CHECKPOINTS_PER_RUN, MOST_STEPS_BETWEEN)
    )


def learning_rate_at(step: int, job: TrainJob, total_steps: int) -> float:
    """Return the learning rate of a step (from 0): linear warm-up, then half a cosine down to a tenth."""
    warmup = round(job.warmup_share * total_steps)
    if step < warmup:
        return job.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, total_steps - warmup)
    return job.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def _refusal(message: str, remedy: str) -> EngineError:
    return EngineError("bad_request", message, remedy)
