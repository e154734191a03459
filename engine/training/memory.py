"""Measure what a few real steps take, and tell before the start whether a run fits and how long it lasts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from engine.errors import EngineError
from engine.training.loop import Material
from engine.training.samples import Item, PackedRow, pack

TIMED_ROWS = 2
MEMORY_SHARE = 0.85
"""How much of the free memory a run may plan with."""
OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")


@dataclass(frozen=True)
class Probe:
    """Hold what the probe measured.

    Attributes:
        seconds_per_token: of forward and backward pass.
        saved_bytes_per_token: what is kept for the backward pass.
        optimizer_bytes: gradients and the optimiser's state.
        longest_row: tokens of the longest row there will be.
        recomputes: whether gradient checkpointing is needed.
        memory_bytes: the most the process will take.
        memory_free: what it may take, with what it has.
    """

    seconds_per_token: float
    saved_bytes_per_token: float
    optimizer_bytes: int
    longest_row: int
    recomputes: bool
    memory_bytes: int
    memory_free: int


def probe(material: Material, items_per_step: int) -> Probe:
    """Run the passes of a few rows without changing the model, and choose gradient checkpointing where it is needed.

    The shortest row tells how much memory all will need, before a longer one could run out of it; typical rows are
    timed, once kernels are warm. Raises EngineError `out_of_memory` when the run cannot fit.
    """
    rows = _rows_of_an_epoch(material, items_per_step)
    longest = max(sum(item.tokens for item in row) for row in rows)
    trained = sum(parameter.numel() for parameter in material.model.parameters() if parameter.requires_grad)
    optimizer_bytes = 12 * trained
    with _undone(material.model), out_of_memory():
        saved, _ = _passes(material, rows[:1])
    process = psutil.Process().memory_info().rss
    free = int(process + psutil.virtual_memory().available * MEMORY_SHARE)
    plain = process + optimizer_bytes + int(saved * longest)
    frugal = process + optimizer_bytes + int(saved * longest / material.model.config.num_hidden_layers * 2)
    recomputes = plain > free
    if recomputes:
        if frugal > free:
            raise _too_little_memory(frugal, free)
        use_gradient_checkpointing(material.model)
    with _undone(material.model), out_of_memory():
        middle = len(rows) // 2
        _, pace = _passes(material, rows[middle : middle + TIMED_ROWS])
    return Probe(pace, saved, optimizer_bytes, longest, recomputes, frugal if recomputes else plain, free)


def use_gradient_checkpointing(model: Any) -> None:
    """Recompute layers in the backward pass instead of keeping what they made."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    causal.activation_checkpointing_enable()
    # transformers also asks for gradients of the embeddings, which would reach down into layers without adapters.
    causal.disable_input_require_grads()


@contextmanager
def out_of_memory() -> Iterator[None]:
    """Turn a failed allocation, in whatever words, into EngineError `out_of_memory`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        memory = isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY)
        if not memory:
            raise
        message = "There is not enough memory for this training."
        raise EngineError("out_of_memory", message, LESS_MEMORY, str(error)) from error


LESS_MEMORY = "Lower the longest length or the row length, train fewer layers, or choose a smaller base."


def _too_little_memory(needed: int, free: int) -> EngineError:
    message = f"This training needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free."
    return EngineError("out_of_memory", message, LESS_MEMORY)


def _rows_of_an_epoch(material: Material, items_per_step: int) -> list[list[Item]]:
    """Pack the data as an epoch would, shortest row first."""
    items = list(material.items)
    steps = [items[start : start + items_per_step] for start in range(0, len(items), items_per_step)]
    rows = [row for step in steps for row in pack(step, material.row_tokens, material.longrope_line)]
    return sorted(rows, key=lambda row: sum(item.tokens for item in row))


@contextmanager
def _undone(model: Any) -> Iterator[None]:
    """Train for a moment, and leave neither gradients nor another random state behind."""
    random_state = torch.get_rng_state()
    model.train()
    try:
        yield
    finally:
        model.zero_grad(set_to_none=True)
        torch.set_rng_state(random_state)


def _passes(material: Material, rows: list[list[Item]]) -> tuple[float, float]:
    """Return per token the bytes kept for the backward pass, and the seconds that the passes took."""
    kept: dict[int, int] = {}
    own = {parameter.untyped_storage().data_ptr() for parameter in material.model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    bytes_per_token, tokens = 0.0, 0
    started = time.perf_counter()
    for items in rows:
        row = PackedRow.of(items, material.precision.device)
        tokens += row.tokens
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), material.precision.autocast():
            loss = material.objective.loss(material.model, row)
        loss.backward()
        bytes_per_token = max(bytes_per_token, sum(kept.values()) / row.tokens)
    return bytes_per_token, (time.perf_counter() - started) / tokens
