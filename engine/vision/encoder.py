"""Turn pictures into the embeddings that stand for them in a prompt."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.vision.blas_threads import BlasThreads
from engine.vision.clip import MtmdTower, TowerError
from engine.vision.clip_cpu import CpuTower
from engine.vision.companion import Companion
from engine.vision.embedding_cache import EmbeddingCache, cache_key
from engine.vision.hd_transform import crop_grid, cut_crops, hd_transform
from engine.vision.images import Picture
from engine.vision.products import choose_products
from engine.vision.projector import Projector

Floats = NDArray[np.float32]
# Is given how many crops are done and how many there are; cancels by raising.
PictureProgress = Callable[[float, int], None]


class Tower(Protocol):
    """Offer what the encoder needs of a CLIP tower."""

    def encode(self, crops: Floats, on_progress: Callable[[float], None]) -> Floats:
        """Return feature maps of crops."""


class PictureEncoder:
    """Encode pictures with one companion file; the tower is loaded when it is first needed.

    Not for use by several threads at once.
    """

    def __init__(self, companion: Path, cache: EmbeddingCache, *, threads: int, use_gpu: bool = False) -> None:
        """Open the companion; raises EngineError where it cannot be used."""
        self._companion = Companion(companion)
        self._cache = cache
        self._threads = BlasThreads(threads)
        self._use_gpu = use_gpu
        self._tower: Tower | None = None
        self._projector: Projector | None = None

    @property
    def embedding(self) -> int:
        """Return the length of an embedding, which the language model must have too."""
        return self._companion.settings.embedding

    @property
    def hidden(self) -> int:
        """Return the length of a feature of the tower."""
        return self._companion.settings.hidden

    @property
    def hd_transform_order(self) -> str:
        """Return in which order the parts and the whole view of a picture follow each other."""
        return self._companion.settings.hd_transform_order

    @property
    def num_crops(self) -> int:
        """Return into how many crops at most the model's own processor cuts a picture."""
        return self._companion.settings.num_crops

    @property
    def fingerprint(self) -> str:
        """Return what tells this companion from others."""
        return self._companion.fingerprint

    def cached(self, digest: str, num_crops: int) -> Floats | None:
        """Return the embeddings of a picture that was encoded before, not to be changed, or None."""
        return self._cache.get(self._key(digest, num_crops))

    def encode(self, picture: Picture, num_crops: int, on_progress: PictureProgress) -> Floats:
        """Return the embeddings `[tokens, embedding]` of a picture, float32, not to be changed.

        Raises EngineError for pictures of impossible shape, and whatever `on_progress` raises.
        """
        grid = crop_grid(picture.width, picture.height, num_crops)
        embeddings = self.cached(picture.digest, num_crops)
        if embeddings is None:
            features = self.features(picture, num_crops, on_progress)
            embeddings = self._load_projector().project(features, grid)
            self._cache.put(self._key(picture.digest, num_crops), embeddings)
        return embeddings

    def features(self, picture: Picture, num_crops: int, on_progress: PictureProgress) -> Floats:
        """Return what the tower makes of a picture, `[crops, 576, hidden]`, before the projector; nothing is cached.

        Raises EngineError for pictures of impossible shape, and whatever `on_progress` raises. Where a GPU fails the
        processor does it.
        """
        grid = crop_grid(picture.width, picture.height, num_crops)
        crops = cut_crops(hd_transform(picture.pixels, num_crops), self._companion.settings.normalization)
        try:
            return self._load_tower().encode(crops, lambda done: on_progress(done, grid.crops))
        except TowerError:
            self._close_tower()
            self._use_gpu = False
            return self._load_tower().encode(crops, lambda done: on_progress(done, grid.crops))

    def close(self) -> None:
        """Give back memory and threads; what is cached can still be had."""
        self._close_tower()
        self._projector = None
        self._threads.close()

    def _close_tower(self) -> None:
        if isinstance(self._tower, MtmdTower):
            self._tower.close()
        self._tower = None

    def _key(self, digest: str, num_crops: int) -> str:
        return cache_key(digest, num_crops, self._companion.fingerprint)

    def _load_tower(self) -> Tower:
        if self._tower is None and self._use_gpu:
            with contextlib.suppress(EngineError):  # the GPU may have too little memory left
                self._tower = MtmdTower(self._companion, self._threads.count, use_gpu=True)
        if self._tower is None:
            self._tower = CpuTower(self._companion, self._threads, choose_products(self._companion))
        return self._tower

    def _load_projector(self) -> Projector:
        if self._projector is None:
            self._projector = Projector(self._companion, self._threads)
        return self._projector
