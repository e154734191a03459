"""Carry the factors of LoRA through the plan of an architecture, so that they follow the file's layout.

A plan only moves, scales and centres the rows of a matrix W, so what it makes of W + B A is what it makes of W, plus
what it makes of B, times A. Here it runs over a checkpoint that has B in the place of every matrix: each tensor of the
plan then gives its B, and while it is read the checkpoint notes which A belongs to it.
"""

from dataclasses import dataclass

import numpy as np

from converter.adapter import Adapter
from converter.checkpoint import Checkpoint, CheckpointView
from converter.convert import plan_conversion
from converter.errors import ConversionError
from converter.lazy_tensors import MappedRows, Rows, RowSource, row_count, rows_per_chunk
from converter.low_rank import Columns, LowRank, Zeros
from converter.model_plan import ModelPlan


@dataclass(frozen=True)
class PlannedChange:
    """Hold the change of one tensor of the file.

    `b` has the tensor's rows and `rank` columns, any scale of the adapter in it; `a` names for each matrix of the
    tensor, one or as many as there are experts, the checkpoint's tensor whose A it takes (None: it does not change).
    """

    b: RowSource
    a: tuple[str | None, ...]
    rank: int


class _Touched:
    """Note the names of the tensors that are read."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def noting(self, name: str, source: RowSource) -> RowSource:
        def note(rows: Rows) -> Rows:
            self.names.add(name)
            return rows

        return MappedRows(source, note)


class _Factors(CheckpointView):
    """Show B, scaled, in the place of every matrix; all have the same number of columns."""

    def __init__(self, base: Checkpoint, adapter: Adapter, touched: _Touched) -> None:
        super().__init__(base)
        self._changes = adapter.changes
        self._touched = touched
        self.rank = max(change.rank for change in adapter.changes.values())

    def tensor(self, name: str, shape: tuple[int, ...]) -> RowSource:
        self.base.tensor(name, shape)
        if len(shape) == 1:
            return Zeros(shape)
        change = self._changes.get(name)
        if change is None:
            return Zeros((*shape[:-1], self.rank))
        scale = np.float32(change.scale)
        return self._touched.noting(
            name, MappedRows(Columns(change.b, change.rank, width=self.rank), lambda rows: rows * scale)
        )


class _Products(CheckpointView):
    """Show B A in the place of every matrix, or zeros; vectors are the base's."""

    def __init__(self, base: Checkpoint, changes: dict[str, LowRank], touched: _Touched) -> None:
        super().__init__(base)
        self._changes = changes
        self._touched = touched

    def tensor(self, name: str, shape: tuple[int, ...]) -> RowSource:
        own = self.base.tensor(name, shape)
        if len(shape) == 1:
            return own
        change = self._changes.get(name)
        return Zeros(shape) if change is None else self._touched.noting(name, change)


def plan_changes(base: Checkpoint, adapter: Adapter) -> tuple[ModelPlan, dict[str, PlannedChange]]:
    """Return the base's plan and the change of each of its tensors that changes.

    Raises ConversionError where the file has no place for a change.
    """
    touched = _Touched()
    factors = _Factors(base, adapter, touched)
    plan = plan_conversion(factors)
    changes: dict[str, PlannedChange] = {}
    placed: set[str | None] = set()
    for name, source in plan.tensors.items():
        if len(source.shape) == 1:
            continue
        a = _read_blocks(name, source, touched)
        if any(a):
            changes[name] = _planned(source, a, factors.rank, adapter)
            placed.update(a)
    _check_all_placed(adapter, placed)
    _check_constants(base, adapter, set(changes))
    return plan, changes


def _read_blocks(name: str, source: RowSource, touched: _Touched) -> tuple[str | None, ...]:
    """Read each matrix of a tensor and return what it was made of."""
    n_blocks = source.shape[0] if len(source.shape) == 3 else 1
    block, step = row_count(source) // n_blocks, rows_per_chunk(source.shape[-1])
    names = []
    for start in range(0, row_count(source), block):
        touched.names.clear()
        for first in range(start, start + block, step):
            source.rows(first, min(first + step, start + block))
        if len(touched.names) > 1:
            raise merge_instead(f"it changes {name} in more than one way")
        names.append(next(iter(touched.names), None))
    return tuple(names)


def _planned(source: RowSource, a: tuple[str | None, ...], rank: int, adapter: Adapter) -> PlannedChange:
    own = max(adapter.changes[name].rank for name in a if name is not None)
    narrow = _Reshaped(source, (*source.shape[:-1], rank))
    return PlannedChange(Columns(narrow, own), a, own)


class _Reshaped:
    """Give a source another shape: that of experts names the width of W where the rows are those of B."""

    def __init__(self, source: RowSource, shape: tuple[int, ...]) -> None:
        self._source = source
        self.shape = shape

    def rows(self, start: int, stop: int) -> Rows:
        return self._source.rows(start, stop)


def _check_all_placed(adapter: Adapter, placed: set[str | None]) -> None:
    lost = sorted(set(adapter.changes) - placed)
    if lost:
        raise merge_instead(f"it changes {lost[0]}, which a language model's adapter cannot hold")


def _check_constants(base: Checkpoint, adapter: Adapter, changed: set[str]) -> None:
    """Refuse what changes a bias or a constant of the file: an adapter holds only products."""
    touched = _Touched()
    with_change = plan_conversion(_Products(base, adapter.changes, touched))
    without = plan_conversion(_Products(base, {}, touched))
    for name, source in with_change.tensors.items():
        if len(source.shape) > 1:
            continue
        touched.names.clear()
        value = source.rows(0, 1)
        if touched.names and not np.allclose(value, without.tensors[name].rows(0, 1), rtol=1e-6, atol=1e-7):
            raise merge_instead(f"what it does to {min(touched.names)} also changes the bias {name}")
    if "output.weight" in changed and not _same_metadata(with_change, without):
        raise merge_instead("what it does to the output matrix also changes a bias of the logits")


def _same_metadata(first: ModelPlan, second: ModelPlan) -> bool:
    ours, theirs = first.late_metadata(), second.late_metadata()
    return all(np.array_equal(np.asarray(value.value), np.asarray(theirs[key].value)) for key, value in ours.items())


def merge_instead(reason: str) -> ConversionError:
    """Make the error for an adapter that only merging can keep."""
    return ConversionError(
        "model_unsupported",
        f"This adapter cannot be kept apart from its model: {reason}.",
        "Merge it instead: `python -m engine import CHECKPOINT --merge ADAPTER`.",
    )
