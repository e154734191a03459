"""Encode crops with the CLIP tower on the CPU, with numpy's matrix products.

The tower's time is matrix products; the BLAS behind numpy computes them about twice as fast as ggml's CPU kernels do,
and in float32. Activations are held feature-major, `[features, tokens]`, with the tokens of all crops side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.vision.companion import PATCH, PATCHES, PATCHES_PER_SIDE, Companion
from engine.vision.single_threaded_blas import single_threaded_blas

Floats = NDArray[np.float32]
# Is given how many crops are done so far, and cancels by raising.
ProgressCallback = Callable[[float], None]

MOST_CROPS_AT_ONCE = 5
_TOKENS = PATCHES + 1
_CACHED_ROWS = 64
_QUICK_GELU = np.float32(-1.702)


class BlasTower:
    """Hold threads and the weights of a companion; not for use by several threads at once."""

    def __init__(self, companion: Companion, threads: int) -> None:
        """Take the companion and how many threads to use."""
        self._weights = companion
        self._settings = companion.settings
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "clip")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def encode(self, crops: Floats, on_progress: ProgressCallback) -> Floats:
        """Return the feature maps `[crops, 576, hidden]` of normalised crops `[crops, 3, 336, 336]`."""
        features = np.empty((len(crops), PATCHES, self._settings.hidden), np.float32)
        groups = np.array_split(np.arange(len(crops)), -(-len(crops) // MOST_CROPS_AT_ONCE))
        layers = self._settings.layers - 1  # Phi-3 reads the output of the last but one
        with single_threaded_blas():
            for group in groups:
                stream = self._embed(crops[group])
                for layer in range(layers):
                    on_progress(float(group[0] + len(group) * layer / layers))
                    self._attend(f"v.blk.{layer}.", stream, len(group))
                    self._feed_forward(f"v.blk.{layer}.", stream)
                maps = stream.reshape(-1, len(group), _TOKENS)[:, :, :PATCHES]
                features[group] = maps.transpose(1, 2, 0)
        on_progress(float(len(crops)))
        return features

    def _embed(self, crops: Floats) -> Floats:
        """Turn pixels into tokens: the patches row by row, then the class token, as positions lie in the file."""
        side = PATCHES_PER_SIDE
        patches = crops.reshape(-1, 3, side, PATCH, side, PATCH).transpose(1, 3, 5, 0, 2, 4)
        hidden = self._settings.hidden
        stream = np.empty((hidden, len(crops), _TOKENS), np.float32)
        kernel = self._weights.tensor("v.patch_embd.weight").reshape(hidden, -1)
        stream[:, :, :PATCHES] = (kernel @ patches.reshape(kernel.shape[1], -1)).reshape(hidden, -1, PATCHES)
        stream[:, :, PATCHES] = self._weights.tensor("v.class_embd").reshape(-1, 1)
        stream += self._weights.tensor("v.position_embd.weight").T[:, None, :]
        return self._normalize("v.pre_ln", stream.reshape(hidden, -1))

    def _attend(self, block: str, stream: Floats, crops: int) -> None:
        """Add self-attention within each crop to the stream."""
        hidden, heads = self._settings.hidden, self._settings.heads
        normalized = self._normalize(block + "ln1", stream)
        projected = np.empty((3, *stream.shape), np.float32)
        self._linear(
            [(block + name, normalized, projected[index]) for index, name in enumerate(("attn_q", "attn_k", "attn_v"))]
        )
        projected[0] *= np.float32((hidden // heads) ** -0.5)
        queries, keys, values = projected.reshape(3, heads, hidden // heads, crops, _TOKENS)
        mixed = np.empty(values.shape, np.float32)

        def attend(place: tuple[int, int]) -> None:
            head, crop = place
            scores = keys[head, :, crop].T @ queries[head, :, crop]  # [keys, queries]
            scores -= scores.max(0)
            np.exp(scores, out=scores)
            np.divide(values[head, :, crop] @ scores, scores.sum(0), out=mixed[head, :, crop])

        self._run(attend, [(head, crop) for head in range(heads) for crop in range(crops)])
        self._linear([(block + "attn_out", mixed.reshape(stream.shape), stream)], add=True)

    def _feed_forward(self, block: str, stream: Floats) -> None:
        """Add the network of two layers with quick-GELU, `x * sigmoid(1.702 x)`, to the stream."""
        normalized = self._normalize(block + "ln2", stream)
        wide = np.empty((self._settings.feed_forward, stream.shape[1]), np.float32)
        self._linear([(block + "ffn_up", normalized, wide)], activation=_quick_gelu)
        self._linear([(block + "ffn_down", wide, stream)], add=True)

    def _normalize(self, name: str, stream: Floats) -> Floats:
        weight, bias = (self._weights.tensor(f"{name}.{part}").reshape(-1, 1) for part in ("weight", "bias"))
        epsilon = np.float32(self._settings.epsilon)
        result = np.empty_like(stream)

        def normalize(columns: slice) -> None:
            centred = stream[:, columns] - stream[:, columns].mean(0)
            variance = np.einsum("ij,ij->j", centred, centred) / np.float32(len(stream))
            centred *= 1 / np.sqrt(variance + epsilon)
            centred *= weight
            np.add(centred, bias, out=result[:, columns])

        self._run(normalize, _parts(stream.shape[1], self._threads))
        return result

    def _linear(
        self,
        products: list[tuple[str, Floats, Floats]],
        *,
        activation: Callable[[Floats], None] | None = None,
        add: bool = False,
    ) -> None:
        """Compute linear layers (name, input, output) side by side; `add` adds to what the output holds."""

        def multiply(job: tuple[str, Floats, Floats, slice]) -> None:
            name, given, out, rows = job
            result = self._weights.tensor(name + ".weight", rows) @ given if add else out[rows]
            if not add:
                np.matmul(self._weights.tensor(name + ".weight", rows), given, out=result)
            bias = self._weights.tensor(name + ".bias", rows).reshape(-1, 1)
            for part in _parts(len(result), -(-len(result) // _CACHED_ROWS)):
                result[part] += bias[part]
                if activation is not None:
                    activation(result[part])
            if add:
                out[rows] += result

        jobs = [(*product, rows) for product in products for rows in _parts(len(product[2]), 2 * self._threads)]
        self._run(multiply, jobs)

    def _run(self, work: Callable[[Any], None], items: Iterable[Any]) -> None:
        """Do all the work on the threads; raises what any part of it raises."""
        for _ in self._pool.map(work, items):
            pass


def _parts(count: int, parts: int) -> list[slice]:
    """Cut `count` things into `parts` of about the same size."""
    cuts = [count * index // parts for index in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(cuts) if start < stop]


def _quick_gelu(values: Floats) -> None:
    decay = values * _QUICK_GELU
    np.exp(decay, out=decay)
    decay += np.float32(1)
    values /= decay
