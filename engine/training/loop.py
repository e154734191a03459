"""Run the steps of a training: the same order, losses and weights whether or not it was interrupted on the way."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.errors import EngineError
from engine.jobs.events import JobEvent, TrainingEvaluation, TrainingNotice, TrainingStep, TrainJob
from engine.training.checkpoints import TrainerState, load_checkpoint, save_checkpoint
from engine.training.control import RunControl, Stopped
from engine.training.objectives import Objective
from engine.training.precision import Precision
from engine.training.samples import Item, PackedRow, fingerprint, pack
from engine.training.settings import learning_rate_at, steps_between_checkpoints, steps_of_run
from engine.training.vision_model import projector_of

LARGEST_GRADIENT_NORM = 1.0
PACE_STEPS = 20
WORDS = {
    "paused": "Paused.",
    "waiting": "Waiting while an answer is being generated.",
    "continued": "Training goes on.",
}


@dataclass(frozen=True)
class Material:
    """Hold what a run works with.

    Attributes:
        model: the model in PyTorch, with adapters where the method uses them.
        objective: what is made small.
        items, validation: what is learned from, and what is measured on.
        precision: of the products.
        row_tokens, longrope_line: how items are packed.
    """

    model: Any
    objective: Objective
    items: Sequence[Item]
    validation: Sequence[Item]
    precision: Precision
    row_tokens: int
    longrope_line: int

    def rows(self, items: Sequence[Item]) -> list[PackedRow]:
        """Pack items into rows."""
        return [PackedRow.of(row, self.precision.device) for row in pack(items, self.row_tokens, self.longrope_line)]


class TrainingLoop:
    """Take one run from where its checkpoints are to its end."""

    def __init__(
        self,
        job: TrainJob,
        material: Material,
        checkpoints: Path,
        control: RunControl,
        report: Callable[[JobEvent], None],
        at_checkpoint: Callable[[int], None],
    ) -> None:
        """Prepare the optimiser; `at_checkpoint` is called with the step after each save."""
        self._job, self._material, self._folder = job, material, checkpoints
        self._control, self._report, self._at_checkpoint = control, report, at_checkpoint
        self._trained = [parameter for parameter in material.model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(material.model, job),
            lr=job.learning_rate,
            weight_decay=job.weight_decay,
            betas=(0.9, 0.95),
            fused=True,
        )
        self._data = fingerprint([*material.items, *material.validation])
        self._total = steps_of_run(job, len(material.items))
        self._cadence = steps_between_checkpoints(job, self._total)
        self._pace: deque[tuple[int, float]] = deque(maxlen=PACE_STEPS)
        self._random = _random_state()
        self.state = TrainerState(0, 0, 0.0, self._data, self._total)

    def run(self) -> TrainerState:
        """Train to the end, or to where it is told to finish; raises Stopped after saving, EngineError."""
        self._resume()
        _train_mode(self._material.model)
        while self.state.step < self._total and not self._control.finishing:
            self.take_step()
            if self.state.step % self._cadence == 0 and self.state.step < self._total:
                self._checkpoint()
        self._checkpoint()
        return self.state

    def _resume(self) -> None:
        """Go on from the newest readable checkpoint, or measure the base and begin."""
        torch.manual_seed(self._job.seed)
        found = load_checkpoint(self._folder, self._material.model, self._optimizer)
        if found is None:
            self._notice("started", "Training begins.")
            self._evaluate()
            self._at_checkpoint(0)
        else:
            state, random_state = found
            if (state.data, state.total_steps) != (self._data, self._total):
                message = "The data has changed since this run was interrupted, so it cannot go on."
                raise EngineError("input_invalid", message, "Put the former data back, or start a new run.")
            _set_random_state(random_state)
            self.state = state
            self._notice("started", f"Training goes on from step {state.step}.")
        self._random = _random_state()

    def take_step(self) -> None:
        """Take the next step and report it; raises Stopped after saving, EngineError when the loss breaks down."""
        step = self.state.step
        items = self.batch(step)
        weight = sum(self._material.objective.weight(item) for item in items)
        rate = learning_rate_at(step, self._job, self._total)
        self._random = _random_state()
        loss, tokens, seconds = 0.0, 0, 0.0
        for row in self._material.rows(items):
            self._give_way()
            started = time.perf_counter()
            with self._material.precision.autocast():
                part = self._material.objective.loss(self._material.model, row) / weight
            part.backward()
            loss, tokens = loss + part.item(), tokens + row.tokens
            seconds += time.perf_counter() - started
        started = time.perf_counter()
        norm = float(torch.nn.utils.clip_grad_norm_(self._trained, LARGEST_GRADIENT_NORM))
        if not math.isfinite(loss) or not math.isfinite(norm):
            self._diverged(step + 1)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._random = _random_state()
        self._count(tokens, seconds + time.perf_counter() - started)
        self._report_step(loss, rate, norm)

    def batch(self, step: int) -> list[Item]:
        """Return a step's items; the order of each epoch depends on nothing but the seed."""
        n_items, size = len(self._material.items), self._job.batch_size
        per_epoch = math.ceil(n_items / size)
        order = np.random.default_rng((self._job.seed, step // per_epoch)).permutation(n_items)
        start = step % per_epoch * size
        return [self._material.items[index] for index in order[start : start + size]]

    def _give_way(self) -> None:
        """Wait while others go first; save and end when asked to, forgetting the step that was begun."""

        def on_change(reason: str) -> None:
            if reason == "paused":
                self._save()
            self._notice(reason, WORDS[reason])

        self._control.wait(on_change)
        if self._control.stopping:
            self._optimizer.zero_grad(set_to_none=True)
            self._save()
            raise Stopped

    def _diverged(self, step: int) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        message = f"Training broke down at step {step}: the loss is no longer a number."
        remedy = "Its last checkpoint is kept; start a new run with a lower learning rate."
        raise EngineError("training_diverged", message, remedy)

    def _checkpoint(self) -> None:
        self._save()
        self._notice("saved", f"Saved after step {self.state.step}.")
        self._evaluate()
        self._at_checkpoint(self.state.step)

    def _save(self) -> None:
        if self.state.step:
            save_checkpoint(self._folder, self._material.model, self._optimizer, self._random, self.state)

    def _evaluate(self) -> None:
        if self._material.validation:
            self._report(TrainingEvaluation(self.state.step, mean_loss(self._material, self._control.check)))

    def _count(self, tokens: int, seconds: float) -> None:
        self._pace.append((tokens, seconds))
        before = self.state
        self.state = TrainerState(
            before.step + 1, before.tokens + tokens, before.seconds + seconds, before.data, before.total_steps
        )

    def _report_step(self, loss: float, rate: float, norm: float) -> None:
        tokens, seconds = (sum(values) for values in zip(*self._pace, strict=True))
        step = self.state.step
        left = (self._total - step) * seconds / len(self._pace)
        epoch = step / math.ceil(len(self._material.items) / self._job.batch_size)
        self._report(TrainingStep(step, self._total, epoch, loss, rate, norm, tokens / seconds, left))

    def _notice(self, code: str, message: str) -> None:
        self._report(TrainingNotice(code, message, self.state.step))


def _parameter_groups(model: Any, job: TrainJob) -> list[dict[str, Any]]:
    """Part what is trained by learning rate, which is a `share` of the run's."""
    projector = projector_of(model)
    own = [] if projector is None else list(projector.parameters())
    others = [each for each in model.parameters() if each.requires_grad and not any(each is one for one in own)]
    groups: list[dict[str, Any]] = [{"params": others}]
    if own:
        groups.append({"params": own, "share": job.projector_learning_rate / job.learning_rate})
    return groups


def mean_loss(material: Material, check: Callable[[], None]) -> float:
    """Return the mean loss on the validation data; `check` may raise between rows."""
    total = weight = 0.0
    model = material.model
    model.eval()
    try:
        for row in material.rows(material.validation):
            check()
            with torch.no_grad(), material.precision.autocast():
                total += float(material.objective.loss(model, row))
            weight += sum(material.objective.weight(item) for item in row.items)
    finally:
        _train_mode(model)
    return total / weight


def _train_mode(model: Any) -> None:
    """Switch dropout on, but leave frozen experts as they answer: their training mode routes at random."""
    model.train()
    for module in model.modules():
        if hasattr(module, "experts") and not any(parameter.requires_grad for parameter in module.parameters()):
            module.eval()


def _random_state() -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
