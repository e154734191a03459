"""Bring feature maps into the language model's space: merge, separators and projection (modeling_phi3_v.py)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engine.vision.blas_threads import BlasThreads
from engine.vision.companion import PATCHES_PER_SIDE, Companion
from engine.vision.hd_transform import TOKENS_PER_SIDE, CropGrid

Floats = NDArray[np.float32]

_STEPS_PER_UNIT = 64
_GELU_END = 8  # beyond it GELU is 0 or its argument, to float32's last digit
_CACHED_ROWS = 8


class Projector:
    """Hold the projector's weights as float32."""

    def __init__(self, companion: Companion, threads: BlasThreads) -> None:
        """Read the weights, and project the two separators once: each row is projected on its own."""
        self._threads = threads
        self._order = companion.settings.hd_transform_order
        self._first = companion.tensor("mm.hd.0.weight"), companion.tensor("mm.hd.0.bias")
        self._second = companion.tensor("mm.hd.2.weight"), companion.tensor("mm.hd.2.bias")
        self._gelu = GeluTable()
        separators = np.stack([companion.tensor("mm.sub_GN"), companion.tensor("mm.glb_GN")])
        self._line_end, self._between = self._project(separators)

    def project(self, features: Floats, grid: CropGrid) -> Floats:
        """Return the embeddings `[tokens, embedding]` of feature maps `[crops, 576, hidden]`, the whole view first."""
        side, half = PATCHES_PER_SIDE, TOKENS_PER_SIDE
        hidden = features.shape[-1]
        quads = features.reshape(-1, half, side // half, half, side // half, hidden).transpose(0, 1, 3, 2, 4, 5)
        projected = self._project(quads.reshape(-1, 4 * hidden)).reshape(-1, half * half, len(self._line_end))
        tiles = projected[1:].reshape(grid.rows, grid.columns, half, half, -1).transpose(0, 2, 1, 3, 4)
        parts = self._lines(tiles.reshape(grid.rows * half, grid.columns * half, -1))
        whole = self._lines(projected[0].reshape(half, half, -1))
        between = self._between[None]
        ordered = (parts, between, whole) if self._order == "sub_glb" else (whole, between, parts)
        return np.concatenate(ordered)

    def _lines(self, rows: Floats) -> Floats:
        """Put the separator behind every row of tokens."""
        ends = np.broadcast_to(self._line_end, (len(rows), 1, rows.shape[-1]))
        return np.concatenate([rows, ends], axis=1).reshape(-1, rows.shape[-1])

    def _project(self, tokens: Floats) -> Floats:
        result = np.empty((len(tokens), len(self._second[1])), np.float32)

        def project(rows: slice) -> None:
            wide: Floats = tokens[rows] @ self._first[0].T
            wide += self._first[1]
            for start in range(0, len(wide), _CACHED_ROWS):
                self._gelu.apply(wide[start : start + _CACHED_ROWS])
            np.matmul(wide, self._second[0].T, out=result[rows])
            result[rows] += self._second[1]

        with self._threads.one_product_each():
            self._threads.run(project, self._threads.shares(len(tokens)))
        return result


class GeluTable:
    """Compute the exact GELU, `x * (1 + erf(x / sqrt(2))) / 2`, with cubics between exact points.

    numpy has no erf. On steps of 1/64 a cubic Hermite spline is within 1e-9 of the function.
    """

    def __init__(self) -> None:
        """Compute value and slope at every step, and from them the cubic of each interval."""
        points = np.arange(-_GELU_END * _STEPS_PER_UNIT, _GELU_END * _STEPS_PER_UNIT + 1) / _STEPS_PER_UNIT
        share = np.array([math.erfc(-point / math.sqrt(2)) / 2 for point in points])
        value = points * share
        slope = (share + points * np.exp(-points * points / 2) / math.sqrt(2 * math.pi)) / _STEPS_PER_UNIT
        rise = np.diff(value)
        left, right = slope[:-1], slope[1:]
        cubics = (value[:-1], left, 3 * rise - 2 * left - right, left + right - 2 * rise)
        self._cubics = [cubic.astype(np.float32) for cubic in cubics]

    def apply(self, values: Floats) -> None:
        """Replace numbers by their GELU."""
        steps = np.clip(values, -_GELU_END, _GELU_END - 1 / _STEPS_PER_UNIT) * np.float32(_STEPS_PER_UNIT)
        whole = np.floor(steps)
        place = whole.astype(np.intp) + _GELU_END * _STEPS_PER_UNIT
        steps -= whole
        result = self._cubics[3][place]
        for cubic in (self._cubics[2], self._cubics[1], self._cubics[0]):
            result *= steps
            result += cubic[place]
        np.copyto(values, result, where=values < _GELU_END - 1 / _STEPS_PER_UNIT)
