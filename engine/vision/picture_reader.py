"""Look at the pictures that a conversation names by their files, and give their embeddings when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.vision.companion import find_companion
from engine.vision.embedding_cache import EmbeddingCache
from engine.vision.encoder import PictureEncoder
from engine.vision.hd_transform import CropGrid, crop_grid
from engine.vision.images import Picture, open_picture

Floats = NDArray[np.float32]
# Is given how many crops are done and how many there are in all; cancels by raising.
CropProgress = Callable[[float, int], None]

_REMEMBERED_FILES = 1024


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """Hold what is known of a picture that was looked at; `number` tells pictures and their settings apart."""

    path: Path
    number: int
    digest: str
    num_crops: int
    grid: CropGrid


@dataclass(frozen=True, slots=True)
class _Facts:
    width: int
    height: int
    digest: str


class PictureReader:
    """Open each file once to learn its size and contents, and once more if it has to be encoded."""

    def __init__(self, encoder: PictureEncoder) -> None:
        """Take the encoder of the model."""
        self._encoder = encoder
        self._facts: dict[tuple[Path, int, int], _Facts] = {}
        self._numbers: dict[tuple[str, int], int] = {}
        self._seen: dict[int, SeenPicture] = {}

    @property
    def num_crops(self) -> int:
        """Return into how many crops at most the model's own processor cuts a picture."""
        return self._encoder.num_crops

    def look(self, path: Path, num_crops: int) -> SeenPicture:
        """Open a picture; `num_crops` 0 is what the model's own processor takes; raises EngineError."""
        num_crops = num_crops or self.num_crops
        facts = self._facts_of(path)
        grid = crop_grid(facts.width, facts.height, num_crops)
        number = self._numbers.setdefault((facts.digest, num_crops), len(self._numbers) + 1)
        seen = SeenPicture(path, number, facts.digest, num_crops, grid)
        self._seen[number] = seen
        return seen

    def embeddings(self, numbers: Iterable[int], on_progress: CropProgress) -> dict[int, Floats]:
        """Return the embeddings `[tokens, embedding]` of pictures that were looked at, by number.

        Raises EngineError, and whatever `on_progress` raises.
        """
        wanted = [self._seen[number] for number in dict.fromkeys(numbers)]
        found = {seen.number: self._encoder.cached(seen.digest, seen.num_crops) for seen in wanted}
        missing = [seen for seen in wanted if found[seen.number] is None]
        total, done = sum(seen.grid.crops for seen in missing), 0
        result = {number: rows for number, rows in found.items() if rows is not None}

        def follow(crops: float, _: int) -> None:
            on_progress(done + crops, total)

        for seen in missing:
            result[seen.number] = self._encoder.encode(self._open_again(seen), seen.num_crops, follow)
            done += seen.grid.crops
        return result

    def close(self) -> None:
        """Give the encoder's memory and threads back."""
        self._encoder.close()

    def _facts_of(self, path: Path) -> _Facts:
        try:
            status = path.stat()
        except OSError:
            picture = open_picture(path)  # says what is wrong
            return _Facts(picture.width, picture.height, picture.digest)
        key = (path, status.st_mtime_ns, status.st_size)
        if key not in self._facts:
            picture = open_picture(path)
            if len(self._facts) >= _REMEMBERED_FILES:
                del self._facts[next(iter(self._facts))]
            self._facts[key] = _Facts(picture.width, picture.height, picture.digest)
        return self._facts[key]

    def _open_again(self, seen: SeenPicture) -> Picture:
        picture = open_picture(seen.path)
        if picture.digest != seen.digest:
            sentence = f"{seen.path.name} has changed while it was being read."
            raise EngineError("picture_invalid", sentence, "Send it again.")
        return picture


def open_picture_reader(
    model: Path, companion: Path | None, cache: Path | None, *, embedding: int, threads: int, use_gpu: bool
) -> PictureReader | None:
    """Open the tower of a model whose embeddings have a given length; None for a model without one.

    `companion` is its file (None: the one beside the model), `cache` the folder for embeddings. Raises EngineError.
    """
    path = companion or find_companion(model)
    if path is None:
        return None
    try:
        encoder = PictureEncoder(path, EmbeddingCache(cache), threads=threads, use_gpu=use_gpu)
    except EngineError as error:
        if error.code == "model_unsupported" and companion is None:
            return None  # the tower of another family lies there; its language model can still chat
        raise
    if encoder.embedding != embedding:
        encoder.close()
        raise EngineError(
            "model_invalid", f"{path.name} does not belong to {model.name}.", "Import the checkpoint again."
        )
    return PictureReader(encoder)
