"""Show the experts of Phi-3.5-MoE one by one, as the Hub stores them, whichever way a checkpoint or adapter has them.

transformers 5 keeps all experts of a layer in two parameters with three dimensions, gate and up projection in one, and
calls the router by another name.
"""

from collections.abc import Iterator

from converter.checkpoint import Checkpoint, CheckpointView
from converter.configuration import size
from converter.lazy_tensors import RowSource, slice_rows
from converter.low_rank import Columns, LowRank

MODEL_TYPE = "phimoe"
STACKED_ROUTER, ROUTER = ".mlp.router.", ".block_sparse_moe.gate."
STACKED, SEPARATE = ".mlp.experts", ".block_sparse_moe.experts"
GATE_UP, DOWN = "gate_up_proj", "down_proj"
GATE_WEIGHT, UP_WEIGHT, DOWN_WEIGHT = "w1.weight", "w3.weight", "w2.weight"


class SeparateExperts(CheckpointView):
    """Show a checkpoint that has its experts stacked."""

    def __init__(self, base: Checkpoint) -> None:
        """Take the checkpoint."""
        super().__init__(base)
        self._n_experts = size(base.config, "num_local_experts")
        self._width, self._hidden = size(base.config, "intermediate_size"), size(base.config, "hidden_size")
        self._stored = {ours: theirs for theirs in base.names() for ours in self._separated(theirs)}

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a tensor called `name`."""
        return name in self._stored

    def names(self) -> list[str]:
        """Return the names of all tensors."""
        return list(self._stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the tensor called `name`, which must be there."""
        if SEPARATE in name:
            return (self._hidden, self._width) if name.endswith(DOWN_WEIGHT) else (self._width, self._hidden)
        return self.base.shape(self._stored[name])

    def dtype(self, name: str) -> str:
        """Return how the tensor called `name`, which must be there, is stored."""
        return self.base.dtype(self._stored[name])

    def tensor(self, name: str, shape: tuple[int, ...]) -> RowSource:
        """Return the tensor called `name`, which must have this shape."""
        if SEPARATE not in name or name not in self._stored:
            return self.base.tensor(self._stored.get(name, name), shape)
        number, weight = _expert_and_weight(name)
        n_rows = self._hidden if weight == DOWN_WEIGHT else 2 * self._width
        stacked = self.base.tensor(self._stored[name], (self._n_experts, n_rows, shape[-1]))
        start = n_rows * number + (self._width if weight == UP_WEIGHT else 0)
        return slice_rows(stacked, start, start + shape[0])

    def _separated(self, name: str) -> Iterator[str]:
        """Give the names of the Hub for what is in one tensor."""
        block, _, parameter = name.partition(f"{STACKED}.")
        weights = {GATE_UP: (GATE_WEIGHT, UP_WEIGHT), DOWN: (DOWN_WEIGHT,)}.get(parameter)
        if weights is None:
            yield hub_name(name)
            return
        for number in range(self._n_experts):
            for weight in weights:
                yield f"{block}{SEPARATE}.{number}.{weight}"


def with_separate_experts(checkpoint: Checkpoint) -> Checkpoint:
    """Show a checkpoint in the layout of the Hub; others are returned as they are."""
    stacked = checkpoint.config.get("model_type") == MODEL_TYPE and any(
        f"{STACKED}.{GATE_UP}" in name for name in checkpoint.names()
    )
    return SeparateExperts(checkpoint) if stacked else checkpoint


def hub_name(name: str) -> str:
    """Return the Hub's name of a tensor that is the same in both layouts."""
    return name.replace(STACKED_ROUTER, ROUTER)


def stacked_parameter(module: str, checkpoint: Checkpoint, a: RowSource, b: RowSource) -> str | None:
    """Return which parameter factors for all experts of `module` change; None where they fit neither."""
    hidden, width = size(checkpoint.config, "hidden_size"), size(checkpoint.config, "intermediate_size")
    shapes = {GATE_UP: (2 * width, hidden), DOWN: (hidden, width)}
    found = (name for name, shape in shapes.items() if shape == (b.shape[0], a.shape[1]))
    return next((f"{module}.{name}" for name in found), None)


def separate_changes(parameter: str, n_experts: int, change: LowRank) -> dict[str, LowRank]:
    """Give each expert its part of what PEFT keeps for all: rows of A one after another, columns of B in turn."""
    block, _, kind = parameter.rpartition(f"{STACKED}.")
    rank = change.rank // n_experts
    changes = {}
    for number in range(n_experts):
        a = slice_rows(change.a, rank * number, rank * (number + 1))
        b = Columns(change.b, rank, start=number, step=n_experts)
        expert = f"{block}{SEPARATE}.{number}"
        if kind == DOWN:
            changes[f"{expert}.{DOWN_WEIGHT}"] = LowRank(a, b, change.scale)
            continue
        half = b.shape[0] // 2
        changes[f"{expert}.{GATE_WEIGHT}"] = LowRank(a, slice_rows(b, 0, half), change.scale)
        changes[f"{expert}.{UP_WEIGHT}"] = LowRank(a, slice_rows(b, half, 2 * half), change.scale)
    return changes


def _expert_and_weight(name: str) -> tuple[int, str]:
    number, _, weight = name.partition(f"{SEPARATE}.")[2].partition(".")
    return int(number), weight
