"""Say what each method trains, and on what: one function per method, from the weights to what the loop needs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from engine.jobs.events import TrainJob
from engine.training.adapters import attach_adapter
from engine.training.base import Base, load_quantized, load_weights
from engine.training.loop import Material
from engine.training.objectives import NextToken, Objective, Preference, sequence_log_probs
from engine.training.precision import Precision
from engine.training.samples import Item, PackedRow, fingerprint, pack

SMALL_MODEL = 1024
"""Width below which attention costs so much of a step that short rows are quicker."""
REFERENCE_FILE = "reference.json"


@dataclass(frozen=True)
class Ingredients:
    """Hold what every recipe starts from.

    Attributes:
        job, folder, base, precision: the run.
        items, validation: what is learned from, and what is measured on.
        check: may raise between pieces of work.
    """

    job: TrainJob
    folder: Path
    base: Base
    precision: Precision
    items: Sequence[Item]
    validation: Sequence[Item]
    check: Callable[[], None]


def lora(given: Ingredients) -> Material:
    """Supervised fine-tuning of adapters on a frozen base."""
    model = load_weights(given.base, given.precision.frozen)
    return _material(given, _with_adapter(given, model), NextToken())


def qlora(given: Ingredients) -> Material:
    """Supervised fine-tuning of adapters on a base in 4 bits, for GPUs with bitsandbytes."""
    return _material(given, _with_adapter(given, load_quantized(given.base)), NextToken())


def full(given: Ingredients) -> Material:
    """Supervised fine-tuning of every weight; weights stay in float32, where small steps are not rounded away."""
    return _material(given, load_weights(given.base, torch.float32), NextToken())


def pretrain(given: Ingredients) -> Material:
    """Continued pre-training of every weight on plain text."""
    return _material(given, load_weights(given.base, torch.float32), NextToken())


def dpo(given: Ingredients) -> Material:
    """Direct preference optimisation of adapters; the base's log-probabilities are computed once, before the start."""
    model = load_weights(given.base, given.precision.frozen)
    material = _material(given, _with_adapter(given, model), Preference(given.job.beta))
    both = _with_references(material, [*given.items, *given.validation], given.folder, given.check)
    return replace(material, items=both[: len(given.items)], validation=both[len(given.items) :])


RECIPES: dict[str, Callable[[Ingredients], Material]] = {
    "lora": lora,
    "qlora": qlora,
    "full": full,
    "dpo": dpo,
    "pretrain": pretrain,
}


def _with_adapter(given: Ingredients, model: Any) -> Any:
    job = given.job
    return attach_adapter(
        model,
        rank=job.rank,
        alpha=job.alpha,
        dropout=job.dropout,
        upper_layers=job.upper_layers,
        seed=job.seed,
    )


def _material(given: Ingredients, model: Any, objective: Objective) -> Material:
    row_tokens = given.job.row_tokens or (256 if model.config.hidden_size <= SMALL_MODEL else 512)
    return Material(
        model.to(given.precision.device),
        objective,
        given.items,
        given.validation,
        given.precision,
        row_tokens,
        given.base.longrope_line,
    )


def _with_references(
    material: Material, items: Sequence[Item], folder: Path, check: Callable[[], None]
) -> tuple[Item, ...]:
    """Return the items with the log-probabilities of the base, which new adapters do not change yet."""
    known = _read_references(folder, fingerprint(items))
    if known is None:
        known = [()] * len(items)
        numbers = {id(item): number for number, item in enumerate(items)}
        material.model.eval()
        for row in pack(items, material.row_tokens, material.longrope_line):
            check()
            with torch.no_grad(), material.precision.autocast():
                packed = PackedRow.of(row, material.precision.device)
                values = sequence_log_probs(material.model, packed).reshape(-1, 2).tolist()
            for item, value in zip(row, values, strict=True):
                known[numbers[id(item)]] = tuple(value)
        document = {"data": fingerprint(items), "log_probs": known}
        (folder / REFERENCE_FILE).write_text(json.dumps(document), "utf-8")
    return tuple(Item(item.samples, value) for item, value in zip(items, known, strict=True))


def _read_references(folder: Path, data: str) -> list[tuple[float, ...]] | None:
    """Return what an interrupted run computed; None where it is missing, damaged or of other data."""
    try:
        document = json.loads((folder / REFERENCE_FILE).read_text("utf-8"))
        return [(float(a), float(b)) for a, b in document["log_probs"]] if document["data"] == data else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
