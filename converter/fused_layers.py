"""Carry changes of query, key, value, gate and up projections over to a base that has them fused.

Adapters trained on a copy of Phi-3 in the layout of Llama change each on its own. Fused, their factors stand in blocks:
the A one below the other, the B along the diagonal, so that the rank is the sum of theirs and nothing is lost.
"""

from collections.abc import Mapping

import numpy as np

from converter.checkpoint import Checkpoint
from converter.configuration import decoder_size
from converter.lazy_tensors import JoinedRows, Rows, RowSource
from converter.low_rank import LowRank, Zeros

PARTS = {
    "self_attn.qkv_proj.weight": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "mlp.gate_up_proj.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
}
WHOLE = {part: whole for whole, parts in PARTS.items() for part in parts}


def fused_changes(changes: Mapping[str, LowRank], base: Checkpoint) -> dict[str, LowRank]:
    """Return changes with those fused that the base has in one; what does not fit is left as it is."""
    fused: dict[str, LowRank] = {}
    for name, change in changes.items():
        prefix, whole = _whole_of(name)
        if name in base or whole is None or prefix + whole not in base:
            fused[name] = change
        elif prefix + whole not in fused:
            joined = _joined(changes, base, prefix, whole)
            fused |= {name: change} if joined is None else {prefix + whole: joined}
    return fused


def _whole_of(name: str) -> tuple[str, str | None]:
    """Split a name into the layer and what its tensor is a part of."""
    part = next((part for part in WHOLE if name.endswith(f".{part}")), None)
    return (name, None) if part is None else (name.removesuffix(part), WHOLE[part])


def _joined(changes: Mapping[str, LowRank], base: Checkpoint, prefix: str, whole: str) -> LowRank | None:
    """Join the changes of all parts of a tensor; None where one of them has another shape."""
    columns = base.shape(prefix + whole)[-1]
    parts = [changes.get(prefix + part) for part in PARTS[whole]]
    heights = _heights(base, whole)
    present = [change for change in parts if change is not None]
    if any(change is not None and change.shape != (rows, columns) for change, rows in zip(parts, heights, strict=True)):
        return None
    rank, start = sum(change.rank for change in present), 0
    blocks: list[RowSource] = []
    for change, rows in zip(parts, heights, strict=True):
        blocks.append(Zeros((rows, rank)) if change is None else _Block(change, start, rank))
        start += 0 if change is None else change.rank
    return LowRank(JoinedRows([change.a for change in present]), JoinedRows(blocks), 1.0)


def _heights(base: Checkpoint, whole: str) -> tuple[int, ...]:
    sizes = decoder_size(base.config)
    if whole.startswith("mlp."):
        return (sizes.feed_forward, sizes.feed_forward)
    return (sizes.query, sizes.key_value, sizes.key_value)


class _Block:
    """Give the rows of a B, scaled, with zeros before and behind."""

    def __init__(self, change: LowRank, start: int, width: int) -> None:
        self._change = change
        self._padding = (start, width - start - change.rank)
        self.shape = (change.b.shape[0], width)

    def rows(self, start: int, stop: int) -> Rows:
        rows = self._change.b.rows(start, stop) * np.float32(self._change.scale)
        return np.pad(rows, ((0, 0), self._padding))
