"""Encode crops with the CLIP tower on the CPU.

The tower's time is matrix products, which `products.py` computes; all else is numpy in float32. Activations lie token
by token, `[tokens, features]`, the tokens of some crops one below the other. A thread takes some tokens through all
that lies between two attentions, without waiting for others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.vision.blas_threads import BlasThreads, parts
from engine.vision.companion import PATCH, PATCHES, PATCHES_PER_SIDE, Companion
from engine.vision.products import Products

Floats = NDArray[np.float32]
# Is given how many crops are done so far, and cancels by raising.
ProgressCallback = Callable[[float], None]

MOST_CROPS_AT_ONCE = 5
_TOKENS = PATCHES + 1
_MOST_TOKENS_AT_ONCE = 750
_CACHED_COLUMNS = 256
_GREATEST_EXPONENT = 60  # exp() of it, 577 times, is far from float32's end, and so is its inverse
_QUICK_GELU = np.float32(-1.702)
_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down")


class CpuTower:
    """Read the weights of a companion layer by layer; not for use by several threads at once."""

    def __init__(self, companion: Companion, threads: BlasThreads, products: Products) -> None:
        """Take the companion, the threads to use and the way to multiply."""
        self._companion = companion
        self._threads = threads
        self._products = products

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
                    group.attend(_Layer(self._companion, self._threads, self._products, layer))
                    on_progress(float(indices[0] + len(indices) * (layer + 0.5) / layers))
                    group.feed_forward()
                features[indices] = group.features()
        on_progress(float(len(crops)))
        return features


class _Layer:
    """Hold the weights of a layer and the way to multiply with them."""

    def __init__(self, companion: Companion, threads: BlasThreads, products: Products, index: int) -> None:
        """Read them."""
        self.products = products
        self._tensor = companion.tensor
        self._block = f"v.blk.{index}."
        self._weights: dict[str, NDArray[Any]] = {}

        def read(name: str) -> None:
            self._weights[name] = products.weights(companion, f"{self._block}{name}.weight")

        threads.run(read, _MATRICES)

    def norm(self, name: str) -> tuple[Floats, Floats]:
        """Return weight and bias of a layer norm."""
        return self._tensor(f"{self._block}{name}.weight"), self._tensor(f"{self._block}{name}.bias")

    def pieces(self, name: str) -> Iterator[tuple[NDArray[Any], Floats, slice]]:
        """Cut a matrix so that what it yields stays in the cache: weights, biases, and columns of the result."""
        weights, bias = self._weights[name], self._tensor(f"{self._block}{name}.bias")
        for columns in parts(len(weights), -(-len(weights) // _CACHED_COLUMNS)):
            yield weights[columns], bias[columns], columns


class _Group:
    """Hold the activations of crops that go through the tower together."""

    def __init__(self, companion: Companion, threads: BlasThreads, crops: Floats) -> None:
        """Turn pixels into tokens: the patches row by row, then the class token, as positions lie in the file."""
        self._settings = companion.settings
        self._threads = threads
        self._crops = len(crops)
        side, hidden = PATCHES_PER_SIDE, companion.settings.hidden
        patches = crops.reshape(-1, 3, side, PATCH, side, PATCH).transpose(0, 2, 4, 1, 3, 5)
        kernel = companion.tensor("v.patch_embd.weight").reshape(hidden, -1)
        tokens = np.empty((len(crops), _TOKENS, hidden), np.float32)
        tokens[:, :PATCHES] = (patches.reshape(-1, kernel.shape[1]) @ kernel.T).reshape(-1, PATCHES, hidden)
        tokens[:, PATCHES] = companion.tensor("v.class_embd")
        tokens += companion.tensor("v.position_embd.weight")
        first_norm = companion.tensor("v.pre_ln.weight"), companion.tensor("v.pre_ln.bias")
        self._stream = self._normalized(tokens.reshape(-1, hidden), first_norm)
        self._projected = np.empty((len(self._stream), 3 * hidden), np.float32)
        self._mixed = np.empty_like(self._stream)
        rounds = -(-len(self._stream) // (_MOST_TOKENS_AT_ONCE * threads.count))
        self._shares = parts(len(self._stream), rounds * threads.count)

    def features(self) -> Floats:
        """Return the feature maps `[crops, 576, hidden]`, without the class token."""
        return self._stream.reshape(self._crops, _TOKENS, -1)[:, :PATCHES]

    def attend(self, layer: _Layer) -> None:
        """Begin a layer: mix the tokens of each crop."""
        self._layer = layer
        self._threads.run(self._project, self._shares)
        heads = range(self._settings.heads)
        self._threads.run(self._mix, [(head, crop) for head in heads for crop in range(self._crops)])

    def feed_forward(self) -> None:
        """End a layer: add to the stream what was mixed, then the network of two layers with quick-GELU."""
        self._threads.run(self._add_both, self._shares)

    def _project(self, tokens: slice) -> None:
        """Compute queries, keys and values, side by side."""
        given = self._layer.products.inputs(self._normalized(self._stream[tokens], self._layer.norm("ln1")))
        hidden = self._settings.hidden
        for index, name in enumerate(("attn_q", "attn_k", "attn_v")):
            out = self._projected[tokens, index * hidden : (index + 1) * hidden]
            for weights, bias, columns in self._layer.pieces(name):
                np.add(self._layer.products.multiply(given, weights), bias, out=out[:, columns])

    def _mix(self, place: tuple[int, int]) -> None:
        """Compute the attention of one head in one crop."""
        head, crop = place
        heads = self._settings.heads
        queries, keys, values = self._projected.reshape(self._crops, _TOKENS, 3, heads, -1)[crop, :, :, head].swapaxes(
            0, 1
        )
        queries = queries * np.float32(keys.shape[1] ** -0.5)
        scores = keys @ queries.T  # [keys, queries]
        if _longest(queries) * _longest(keys) > _GREATEST_EXPONENT:
            scores -= scores.max(0)
        np.exp(scores, out=scores)
        results = self._mixed.reshape(self._crops, _TOKENS, heads, -1)[crop, :, head]
        np.divide(scores.T @ values, scores.sum(0)[:, None], out=results)

    def _add_both(self, tokens: slice) -> None:
        stream = self._stream[tokens]
        self._add_linear(stream, self._layer.products.inputs(self._mixed[tokens]), "attn_out")
        given = self._layer.products.inputs(self._normalized(stream, self._layer.norm("ln2")))
        wide = np.empty((len(stream), self._settings.feed_forward), given.dtype)
        for weights, bias, columns in self._layer.pieces("ffn_up"):
            values = self._layer.products.multiply(given, weights)
            values += bias
            _quick_gelu(values)
            wide[:, columns] = self._layer.products.inputs(values)
        self._add_linear(stream, wide, "ffn_down")

    def _add_linear(self, stream: Floats, given: NDArray[Any], name: str) -> None:
        for weights, bias, columns in self._layer.pieces(name):
            product = self._layer.products.multiply(given, weights)
            product += bias
            stream[:, columns] += product

    def _normalized(self, values: Floats, norm: tuple[Floats, Floats]) -> Floats:
        """Return the layer norm of each row."""
        centred: Floats = values - values.mean(1, keepdims=True)
        variance = np.einsum("ij,ij->i", centred, centred)[:, None] / np.float32(values.shape[1])
        centred *= 1 / np.sqrt(variance + np.float32(self._settings.epsilon))
        centred *= norm[0]
        centred += norm[1]
        return centred


def _longest(rows: Floats) -> float:
    """Return the greatest length of a row: no product of two rows is greater than the product of their lengths."""
    return math.sqrt(np.einsum("ij,ij->i", rows, rows).max())


def _quick_gelu(values: Floats) -> None:
    """Replace numbers x by x * sigmoid(1.702 x)."""
    decay = values * _QUICK_GELU
    np.exp(decay, out=decay)
    decay += np.float32(1)
    values /= decay
