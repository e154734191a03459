"""Keep what the CLIP tower makes of a run's pictures: it is not trained, so each picture goes through it once."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from converter.convert import convert_companion
from converter.gguf_stream import ProgressCallback
from engine.errors import EngineError
from engine.training.vision_model import PictureFeatures
from engine.vision.companion import PATCHES
from engine.vision.embedding_cache import EmbeddingCache, cache_key
from engine.vision.encoder import PictureEncoder
from engine.vision.images import open_picture
from engine.vision.picture_reader import CropProgress, PictureReader, SeenPicture

COMPANION_FILE = "base.mmproj.gguf"
MEMORY_BYTES = 256 << 20
NUMBER_DIGITS = 12
"""Hexadecimal digits of a picture's number: it depends on contents alone, and 48 bits keep pictures apart."""


class PictureStore:
    """Look at pictures, and give their feature maps from a folder of the run.

    The number of a picture comes from its pixels, the number of crops and the tower, so that ids of a run are the same
    when it is resumed, and other ids when a picture was changed.
    """

    def __init__(self, encoder: PictureEncoder, folder: Path, num_crops: int) -> None:
        """Take the encoder, where feature maps are kept, and into how many crops a picture is cut at most."""
        self._encoder = encoder
        self._reader = PictureReader(encoder)
        self._folder = folder
        self._cache = EmbeddingCache(folder, MEMORY_BYTES, sys.maxsize)
        self._seen: dict[int, SeenPicture] = {}
        self._keys: dict[int, str] = {}
        self.num_crops = num_crops

    @property
    def hd_transform_order(self) -> str:
        """Return in which order the parts and the whole view of a picture follow each other."""
        return self._encoder.hd_transform_order

    @property
    def companion_bytes(self) -> int:
        """Return the size of the file with the tower."""
        return (self._folder / COMPANION_FILE).stat().st_size

    def look(self, path: Path) -> SeenPicture:
        """Open a picture and give it its number. Raises EngineError `picture_invalid`."""
        seen = self._reader.look(path, self.num_crops)
        key = cache_key(seen.digest, self.num_crops, self._encoder.fingerprint)
        number = 1 + int(key[:NUMBER_DIGITS], 16)
        self._keys[number] = key
        return self._seen.setdefault(number, replace(seen, number=number))

    def path(self, number: int) -> Path:
        """Return where a picture was seen."""
        return self._seen[number].path

    def tokens(self, number: int) -> int:
        """Return how many positions a picture takes."""
        return self._seen[number].grid.tokens

    def prepare(self, numbers: Iterable[int], on_progress: CropProgress) -> None:
        """Send the pictures that are not kept yet through the tower; `on_progress` cancels by raising.

        Raises EngineError `disk_full` before the first picture where the disk cannot hold all.
        """
        missing = [self._seen[number] for number in dict.fromkeys(numbers) if self._kept(number) is None]
        self._check_disk(sum(seen.grid.crops for seen in missing))
        total, done = sum(seen.grid.crops for seen in missing), 0

        def follow(crops: float, _: int) -> None:
            on_progress(done + crops, total)

        for seen in missing:
            self._compute(seen, follow)
            done += seen.grid.crops

    def features(self, number: int) -> PictureFeatures:
        """Return the feature maps of a picture that was looked at, made again where they got lost."""
        kept = self._kept(number)
        return self._compute(self._seen[number], lambda *_: None) if kept is None else kept

    def close(self) -> None:
        """Give threads and memory back."""
        self._reader.close()

    def _kept(self, number: int) -> PictureFeatures | None:
        grid = self._seen[number].grid
        rows = self._cache.get(self._keys[number])
        if rows is None or rows.shape != (grid.crops * PATCHES, self._encoder.hidden):
            return None
        return PictureFeatures(rows.reshape(grid.crops, PATCHES, -1), grid)

    def _compute(self, seen: SeenPicture, on_progress: Callable[[float, int], None]) -> PictureFeatures:
        picture = open_picture(seen.path)
        if picture.digest != seen.digest:
            sentence = f"{seen.path.name} has changed since the run began."
            raise EngineError("picture_invalid", sentence, "Put the former picture back, or start a new run.")
        maps = self._encoder.features(picture, seen.num_crops, on_progress)
        self._cache.put(self._keys[seen.number], maps.reshape(-1, maps.shape[-1]))
        return PictureFeatures(maps, seen.grid)

    def _check_disk(self, crops: int) -> None:
        need, free = 4 * crops * PATCHES * self._encoder.hidden, shutil.disk_usage(self._folder).free
        if free < need:
            figures = f"they take {need / 1e9:.1f} GB and {free / 1e9:.1f} GB are free"
            message = f"The disk has too little space for what the model sees in the pictures: {figures}."
            raise EngineError("disk_full", message, "Free some space, lower the number of crops, or use fewer rows.")


def open_store(
    checkpoint: Path, stored: str, folder: Path, num_crops: int, threads: int, progress: ProgressCallback
) -> PictureStore:
    """Open the tower of a checkpoint of the file type `stored`, for a run that keeps feature maps in `folder`.

    Raises EngineError or ConversionError; `progress` cancels by raising.
    """
    folder.mkdir(parents=True, exist_ok=True)
    companion = folder / COMPANION_FILE
    if not companion.is_file():
        convert_companion(checkpoint, companion, outtype=stored, progress=progress)
    try:
        encoder = PictureEncoder(companion, EmbeddingCache(None, 0), threads=threads)
    except EngineError:
        companion.unlink(missing_ok=True)
        convert_companion(checkpoint, companion, outtype=stored, progress=progress)
        encoder = PictureEncoder(companion, EmbeddingCache(None, 0), threads=threads)
    return PictureStore(encoder, folder, num_crops)
