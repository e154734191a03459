"""Encode crops with the CLIP tower on the CPU, with numpy's matrix products.

The tower's time is matrix products; the BLAS behind numpy computes them about twice as fast as ggml's CPU kernels do,
and in float32. Activations are held feature-major, `[features, tokens]`, with the tokens of some crops side by side.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.vision.blas_threads import BlasThreads, parts
from engine.vision.companion import PATCH, PATCHES, PATCHES_PER_SIDE, Companion

Floats = NDArray[np.float32]
# Is given how many crops are done so far, and cancels by raising.
ProgressCallback = Callable[[float], None]

MOST_CROPS_AT_ONCE = 5
_TOKENS = PATCHES + 1
_CACHED_VALUES = 1 << 16
_QUICK_GELU = np.float32(-1.702)


class BlasTower:
    """Read the weights of a companion layer by layer; not for use by several threads at once."""

    def __init__(self, companion: Companion, threads: BlasThreads) -> None:
        """Take the companion and the threads to use."""
        self._companion = companion
        self._threads = threads

    def encode(self, crops: Floats, on_progress: ProgressCallback) -> Floats:
        """Return the feature maps `[crops, 576, hidden]` of normalised crops `[crops, 3, 336, 336]`."""
        features = np.empty((len(crops), PATCHES, self._companion.settings.hidden), np.float32)
        groups = np.array_split(np.arange(len(crops)), -(-len(crops) // MOST_CROPS_AT_ONCE))
        layers = self._companion.settings.layers - 1  # Phi-3 reads the output of the last but one
        with self._threads.one_product_each():
            for indices in groups:
                group = _Group(self._companion, self._threads, crops[indices])
                for layer in range(layers):
                    on_progress(float(indices[0] + len(indices) * layer / layers))
                    group.attend(f"v.blk.{layer}.")
                    group.feed_forward(f"v.blk.{layer}.")
                features[indices] = group.features()
        on_progress(float(len(crops)))
        return features


class _Group:
    """Hold the activations of crops that go through the tower together."""

    def __init__(self, companion: Companion, threads: BlasThreads, crops: Floats) -> None:
        """Turn pixels into tokens: the patches row by row, then the class token, as positions lie in the file."""
        self._tensor = companion.tensor
        self._settings = companion.settings
        self._threads = threads
        self._crops = len(crops)
        side, hidden = PATCHES_PER_SIDE, self._settings.hidden
        patches = crops.reshape(-1, 3, side, PATCH, side, PATCH).transpose(1, 3, 5, 0, 2, 4)
        kernel = self._tensor("v.patch_embd.weight").reshape(hidden, -1)
        tokens = np.empty((hidden, len(crops), _TOKENS), np.float32)
        tokens[:, :, :PATCHES] = (kernel @ patches.reshape(kernel.shape[1], -1)).reshape(hidden, -1, PATCHES)
        tokens[:, :, PATCHES] = self._tensor("v.class_embd").reshape(-1, 1)
        tokens += self._tensor("v.position_embd.weight").T[:, None, :]
        self._stream = tokens.reshape(hidden, -1)
        self._normalized = np.empty_like(self._stream)
        rows = max(4 * hidden, self._settings.feed_forward)
        self._scratch = np.empty((rows, self._stream.shape[1]), np.float32)
        self._normalize("v.pre_ln", self._stream)

    def features(self) -> Floats:
        """Return the feature maps `[crops, 576, hidden]`, without the class token."""
        return self._stream.reshape(-1, self._crops, _TOKENS)[:, :, :PATCHES].transpose(1, 2, 0)

    def attend(self, block: str) -> None:
        """Add self-attention within each crop to the stream."""
        hidden, heads = self._settings.hidden, self._settings.heads
        projected, mixed = self._scratch[: 3 * hidden], self._scratch[3 * hidden : 4 * hidden]
        self._normalize(block + "ln1", self._normalized)
        self._linear([block + "attn_q", block + "attn_k", block + "attn_v"], projected)
        queries, keys, values = projected.reshape(3, heads, -1, self._crops, _TOKENS)
        results = mixed.reshape(heads, -1, self._crops, _TOKENS)
        scale = np.float32((hidden // heads) ** -0.5)

        def attend(place: tuple[int, int]) -> None:
            head, crop = place
            scores = keys[head, :, crop].T @ (queries[head, :, crop] * scale)  # [keys, queries]
            scores -= scores.max(0)
            np.exp(scores, out=scores)
            np.divide(values[head, :, crop] @ scores, scores.sum(0), out=results[head, :, crop])

        self._threads.run(attend, [(head, crop) for head in range(heads) for crop in range(self._crops)])
        self._add_linear(block + "attn_out", mixed)

    def feed_forward(self, block: str) -> None:
        """Add the network of two layers with quick-GELU to the stream."""
        wide = self._scratch[: self._settings.feed_forward]
        self._normalize(block + "ln2", self._normalized)
        self._linear([block + "ffn_up"], wide, _quick_gelu)
        self._add_linear(block + "ffn_down", wide)

    def _normalize(self, name: str, out: Floats) -> None:
        """Put the layer norm of the stream into `out`."""
        weight, bias = (self._tensor(f"{name}.{kind}").reshape(-1, 1) for kind in ("weight", "bias"))
        epsilon = np.float32(self._settings.epsilon)

        def normalize(columns: slice) -> None:
            centred = self._stream[:, columns] - self._stream[:, columns].mean(0)
            variance = np.einsum("ij,ij->j", centred, centred) / np.float32(len(centred))
            centred *= 1 / np.sqrt(variance + epsilon)
            centred *= weight
            np.add(centred, bias, out=out[:, columns])

        self._threads.run(normalize, self._threads.shares(out.shape[1]))

    # Each thread computes some rows of a layer in one product, because every product rearranges all that it is given.

    def _linear(self, names: list[str], out: Floats, activation: Callable[[Floats], None] | None = None) -> None:
        """Put linear layers of the normalised stream, one below the other, into `out`."""

        def multiply(rows: slice) -> None:
            np.matmul(self._stacked(names, "weight", rows), self._normalized, out=out[rows])
            bias = self._stacked(names, "bias", rows).reshape(-1, 1)
            for part in parts(len(bias), -(-out[rows].size // _CACHED_VALUES)):
                values = out[rows][part]
                values += bias[part]
                if activation is not None:
                    activation(values)

        self._threads.run(multiply, self._threads.shares(len(out)))

    def _add_linear(self, name: str, given: Floats) -> None:
        """Add a linear layer of `given` to the stream."""

        def multiply(rows: slice) -> None:
            product = self._tensor(name + ".weight", rows) @ given
            product += self._tensor(name + ".bias", rows).reshape(-1, 1)
            self._stream[rows] += product

        self._threads.run(multiply, self._threads.shares(len(self._stream)))

    def _stacked(self, names: list[str], kind: str, rows: slice) -> Floats:
        """Return rows of the weights or biases of layers of the same size; `rows` counts over all of them."""
        if len(names) == 1:
            return self._tensor(f"{names[0]}.{kind}", rows)
        size = self._settings.hidden
        starts = [(name, size * index) for index, name in enumerate(names)]
        return np.concatenate(
            [
                self._tensor(f"{name}.{kind}", slice(max(0, rows.start - start), rows.stop - start))
                for name, start in starts
                if rows.start < start + size and start < rows.stop
            ]
        )


def _quick_gelu(values: Floats) -> None:
    """Replace numbers x by x * sigmoid(1.702 x)."""
    decay = values * _QUICK_GELU
    np.exp(decay, out=decay)
    decay += np.float32(1)
    values /= decay
