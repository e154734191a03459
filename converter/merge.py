"""Show a checkpoint with a LoRA adapter merged into it; nothing is computed before a tensor's rows are read.

W becomes W + scale * B A; with DoRA (https://arxiv.org/abs/2402.09353) each of its rows then gets the length that was
trained. Whole modules, tokens and biases that were trained take the place of the base's.
"""

import threading
from pathlib import Path

import numpy as np

from converter.adapter import Adapter, BiasChange, TokenRows, read_adapter
from converter.checkpoint import Checkpoint, CheckpointView
from converter.errors import ConversionError
from converter.expert_layout import with_separate_experts
from converter.lazy_tensors import Rows, RowSource
from converter.low_rank import LowRank
from converter.tied_head import EMBEDDING, HEAD, OwnHead, is_tied
from converter.tuned_projector import PROJECTOR_TENSORS, TunedProjector, with_projector


class MergedCheckpoint(CheckpointView):
    """Show `base` with the adapter in a folder merged into it, the experts one by one.

    A vision model's projector that was trained with the adapter takes the place of the base's.
    Where the base shares its output matrix with the embeddings and only one of them was trained, they part.
    """

    def __init__(self, base: Checkpoint, folder: Path) -> None:
        """Open the adapter and check that it fits."""
        tuned = with_projector(base, folder)
        separate = with_separate_experts(tuned)
        tied = is_tied(separate)
        with_head = OwnHead(separate) if tied else separate
        adapter = read_adapter(folder, with_head)
        super().__init__(with_head if tied and _parts_head(adapter) else separate)
        if EMBEDDING in adapter.token_rows and tied:
            adapter.token_rows.setdefault(HEAD, adapter.token_rows[EMBEDDING])
        if EMBEDDING in adapter.magnitudes:
            raise ConversionError("model_unsupported", "DoRA on the embeddings is not supported.", "Train plain LoRA.")
        self.adapter = adapter
        self.touched = adapter.touched() | set(PROJECTOR_TENSORS if isinstance(tuned, TunedProjector) else ())

    def tensor(self, name: str, shape: tuple[int, ...]) -> RowSource:
        """Return the tensor called `name`, which must have this shape, with what the adapter makes of it."""
        adapter = self.adapter
        own = self.base.tensor(name, shape)
        merged: RowSource = adapter.replaced.get(name, own)
        if name in adapter.changes:
            merged = _Sum(merged, adapter.changes[name])
        if name in adapter.magnitudes:
            merged = _WithLengths(merged, adapter.magnitudes[name])
        if name in adapter.bias_changes:
            merged = _WithBias(merged, adapter.bias_changes[name])
        if name in adapter.token_rows:
            merged = _WithTokens(merged, adapter.token_rows[name])
        return merged

    def close(self) -> None:
        """Close all files."""
        self.adapter.close()
        super().close()


def open_checkpoint(folder: Path, adapter: Path | None = None) -> Checkpoint:
    """Open a checkpoint directory, with an adapter merged into it if there is one."""
    base = Checkpoint(folder)
    if adapter is None:
        return base
    try:
        return MergedCheckpoint(base, adapter)
    except BaseException:
        base.close()
        raise


def _parts_head(adapter: Adapter) -> bool:
    """Tell whether a shared output matrix and the embeddings become different."""
    whole = {*adapter.changes, *adapter.replaced}
    return HEAD in whole or HEAD in adapter.token_rows or (EMBEDDING in whole and not adapter.config.ties_embeddings)


class _Sum:
    """Give the rows of a matrix and its change added."""

    def __init__(self, source: RowSource, change: LowRank) -> None:
        self._source = source
        self._change = change
        self.shape = source.shape

    def rows(self, start: int, stop: int) -> Rows:
        return self._source.rows(start, stop) + self._change.rows(start, stop)


class _WithLengths:
    """Give each row of a matrix the length that DoRA trained."""

    def __init__(self, source: RowSource, lengths: RowSource) -> None:
        self._source = source
        self._lengths = lengths
        self.shape = source.shape

    def rows(self, start: int, stop: int) -> Rows:
        rows = self._source.rows(start, stop)
        lengths = self._lengths.rows(0, 1)[0, start:stop, None]
        present = np.linalg.norm(rows, axis=1, keepdims=True)
        factors: Rows = np.divide(lengths, present, out=np.zeros_like(present), where=present != 0)
        return rows * factors


class _WithBias:
    """Give a bias and its change added."""

    def __init__(self, source: RowSource, change: BiasChange) -> None:
        self._source = source
        self._change = change
        self.shape = source.shape

    def rows(self, start: int, stop: int) -> Rows:
        return self._source.rows(start, stop) + np.float32(self._change.scale) * self._change.vector.rows(start, stop)


class _WithTokens:
    """Give a matrix with some rows replaced; those are few and are kept in memory once they are read."""

    def __init__(self, source: RowSource, trained: TokenRows) -> None:
        self._source = source
        self._trained = trained
        self._indices = np.array(trained.indices, np.int64)
        self._rows: Rows | None = None
        self._lock = threading.Lock()
        self.shape = source.shape

    def rows(self, start: int, stop: int) -> Rows:
        with self._lock:
            if self._rows is None:
                self._rows = self._trained.rows.rows(0, len(self._indices))
        here = (self._indices >= start) & (self._indices < stop)
        rows = self._source.rows(start, stop)
        if not here.any():
            return rows
        rows = rows.copy()
        rows[self._indices[here] - start] = self._rows[here]
        return rows
