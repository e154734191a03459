"""Describe a result in Markdown: what it was made from and how, and how well it came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError
from engine.jobs.events import TrainingEvaluation, TrainJob
from engine.training.answers import Stopping
from engine.training.checkpoints import TrainerState
from engine.training.results import Check
from engine.version import VERSION

METHODS = {
    "lora": "supervised fine-tuning with LoRA",
    "qlora": "supervised fine-tuning with LoRA on a 4-bit base",
    "full": "supervised fine-tuning of all weights",
    "dpo": "direct preference optimisation with LoRA",
    "pretrain": "continued pre-training of all weights",
}
SHOWN = ("epochs", "batch_size", "learning_rate", "warmup_share", "weight_decay", "max_length", "seed")
SHOWN_OF_VISION = ("projector_learning_rate", "num_crops")
SHOWN_OF_ADAPTERS = ("rank", "alpha", "dropout", "upper_layers")


@dataclass(frozen=True)
class CardFacts:
    """Hold what a card tells."""

    name: str
    base: str
    job: TrainJob
    state: TrainerState
    rows: int
    losses: Sequence[TrainingEvaluation]
    stops: Stopping | None
    checks: Sequence[Check]
    failure: EngineError | None
    sees: bool = False


def write_card(path: Path, facts: CardFacts) -> Path:
    """Write the card and return its path; it names files, never where they lie on this computer."""
    seeing = " and training of the whole projector" if facts.sees else ""
    sections = [
        f"# {facts.name}",
        f"{facts.base} after {METHODS[facts.job.method]}{seeing}, made with Phidelity {VERSION}.",
        *_data(facts),
        *_settings(facts),
        *_results(facts),
        *_exports(facts),
    ]
    path.write_text("\n".join(sections) + "\n", "utf-8")
    return path


def _data(facts: CardFacts) -> list[str]:
    lines = ["", "## Data", f"- File: {Path(facts.job.data).name}, {facts.rows} rows learned from"]
    return [*lines, f"- SHA-256 of tokens and labels: `{facts.state.data}`"]


def _settings(facts: CardFacts) -> list[str]:
    names = SHOWN + (SHOWN_OF_ADAPTERS if facts.job.method in ("lora", "qlora", "dpo") else ())
    names += SHOWN_OF_VISION if facts.sees else ()
    names += ("beta",) if facts.job.method == "dpo" else ()
    rows = [f"| {name.replace('_', ' ')} | {getattr(facts.job, name)} |" for name in names]
    done = f"{facts.state.step} of {facts.state.total_steps} steps, {facts.state.tokens:,} tokens, "
    return ["", "## Settings", "| | |", "|---|---|", *rows, "", f"{done}{facts.state.seconds / 60:.1f} minutes."]


def _results(facts: CardFacts) -> list[str]:
    lines = ["", "## Results"]
    if facts.losses:
        first, last = facts.losses[0], facts.losses[-1]
        lines.append(f"- Loss on data not learned from: {first.loss:.3f} at step {first.step}, ")
        lines[-1] += f"{last.loss:.3f} at step {last.step}"
    if facts.stops is not None:
        lines.append(f"- Ends its answers: {facts.stops.stopped} of {facts.stops.asked} asked; ")
        lines[-1] += f"expects {facts.stops.expected} of {facts.stops.ends} known ends"
    return lines


def _exports(facts: CardFacts) -> list[str]:
    lines = [
        f"- {check.file}: relative error {check.relative_error:.1e}, KL {check.kl:.1e}, same top {check.same_top:.0%}"
        for check in facts.checks
    ]
    if facts.failure is not None:
        lines.append(f"- {facts.failure.message}")
    return ["", "## Files, compared with PyTorch", *lines] if lines else []
