"""Compare rows of logits."""

from typing import Any

import numpy as np

from engine.verification.band_result import BandResult

Rows = np.ndarray[Any, np.dtype[np.float32]]


def compare_rows(name: str, first: int, last: int, ours: Rows, reference: Rows) -> BandResult:
    """Compare rows `[n_positions, n_vocab]`; ids that the reference never gives (-inf or float's minimum) are left out.

    Raises ValueError when the rows have different shapes, or ours are not finite where the reference is.
    """
    if ours.shape != reference.shape:
        raise ValueError(f"logits of different shapes: {ours.shape} and {reference.shape}")
    given = (reference > np.finfo(np.float32).min / 2).all(axis=0)
    a, b = ours[:, given].astype(np.float64), reference[:, given].astype(np.float64)
    if not np.isfinite(a).all():
        raise ValueError("logits that are not finite")
    difference = np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)
    log_a, log_b = _log_softmax(a), _log_softmax(b)
    kl = (np.exp(log_b) * (log_b - log_a)).sum(axis=1)
    same_top = (a.argmax(axis=1) == b.argmax(axis=1)).mean()
    return BandResult(name, first, last, float(difference.max()), float(kl.mean()), float(same_top))


def _log_softmax(rows: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    shifted = rows - rows.max(axis=1, keepdims=True)
    normalised: np.ndarray[Any, np.dtype[np.float64]] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalised
