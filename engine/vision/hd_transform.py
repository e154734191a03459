"""Cut a picture into the crops that Phi-3-vision reads, as its image processor does (image_processing_phi3_v.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.errors import EngineError
from engine.protocol import MAX_CROPS

CROP = 336
TOKENS_PER_SIDE = 12
FAST_CROPS = 4
FINE_CROPS = 16
_WHITE = 255
_BICUBIC_A = -0.75  # as torch.nn.functional.interpolate has it; other programs use -0.5

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class CropGrid:
    """Say into how many rows and columns of crops a picture is cut."""

    rows: int
    columns: int

    @property
    def crops(self) -> int:
        """Return how many crops are encoded: those of the grid and the view of the whole picture."""
        return self.rows * self.columns + 1

    @property
    def tokens(self) -> int:
        """Return how many positions the picture takes in the prompt, separators included."""
        per_crop = TOKENS_PER_SIDE * TOKENS_PER_SIDE
        return self.crops * per_crop + 1 + (self.rows + 1) * TOKENS_PER_SIDE


@dataclass(frozen=True)
class Normalization:
    """Hold the mean and the standard deviation of each colour that pixels of 0 to 1 are brought to."""

    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class _Fit:
    """Say how a picture that is not taller than wide is resized and padded."""

    width: int
    height: int
    top: int
    bottom: int


def crop_grid(width: int, height: int, num_crops: int) -> CropGrid:
    """Return the grid that a picture of this size is cut into; raises EngineError for shapes that cannot be."""
    fit = _fit(max(width, height), min(width, height), num_crops)
    long, short = fit.width // CROP, (fit.top + fit.height + fit.bottom) // CROP
    return CropGrid(short, long) if width >= height else CropGrid(long, short)


def hd_transform(pixels: Pixels, num_crops: int) -> Pixels:
    """Enlarge or shrink a picture to whole crops, at most `num_crops`, with white around it where it does not fit."""
    height, width = pixels.shape[:2]
    fit = _fit(max(width, height), min(width, height), num_crops)
    image = Image.fromarray(pixels)
    tall = width < height
    if tall:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    image = image.resize((fit.width, fit.height), Image.Resampling.BILINEAR)
    padded = np.pad(np.asarray(image), ((fit.top, fit.bottom), (0, 0), (0, 0)), constant_values=_WHITE)
    return padded.transpose(1, 0, 2) if tall else padded


def cut_crops(padded: Pixels, normalization: Normalization) -> Floats:
    """Return normalised crops `[1 + rows * columns, 3, 336, 336]`: the whole picture first, then row by row."""
    table = (np.arange(256) / 255 - np.array(normalization.mean)[:, None]) / np.array(normalization.std)[:, None]
    channels = [table[channel].astype(np.float32)[padded[:, :, channel]] for channel in range(3)]
    picture = np.stack(channels)
    rows, columns = padded.shape[0] // CROP, padded.shape[1] // CROP
    crops = np.empty((1 + rows * columns, 3, CROP, CROP), np.float32)
    crops[0] = _bicubic(_bicubic(picture, 1), 2)
    grid = picture.reshape(3, rows, CROP, columns, CROP)
    crops[1:] = grid.transpose(1, 3, 0, 2, 4).reshape(-1, 3, CROP, CROP)
    return crops


def _fit(width: int, height: int, num_crops: int) -> _Fit:
    if not 1 <= num_crops <= MAX_CROPS:
        raise EngineError("bad_request", f"A picture is cut into 1 to {MAX_CROPS} crops, not {num_crops}.")
    ratio = width / height
    columns = 1
    while (columns + 1) * math.ceil((columns + 1) / ratio) <= num_crops:
        columns += 1
    new_width = columns * CROP
    new_height = int(new_width / ratio)
    if new_height == 0:
        sentence = f"The picture is too narrow: it has {width} x {height} pixels."
        raise EngineError("picture_invalid", sentence, "Cut out the part that matters.")
    padding = math.ceil(new_height / CROP) * CROP - new_height
    return _Fit(new_width, new_height, padding // 2, padding - padding // 2)


def _bicubic(values: Floats, axis: int) -> Floats:
    """Resize one axis to a crop's side by cubic convolution of four neighbours, without antialiasing."""
    count = values.shape[axis]
    source = (np.arange(CROP) + 0.5) * (count / CROP) - 0.5
    first = np.floor(source)
    fraction = source - first
    shape = [-1 if index == axis else 1 for index in range(values.ndim)]
    result = np.zeros((), np.float32)
    for offset in (-1, 0, 1, 2):
        weights = _cubic_weight(np.abs(fraction - offset)).astype(np.float32).reshape(shape)
        index = np.clip(first.astype(np.int64) + offset, 0, count - 1)
        result = result + weights * np.take(values, index, axis)
    return result


def _cubic_weight(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh a neighbour by its distance (R. Keys, Cubic convolution interpolation, 1981)."""
    a = _BICUBIC_A
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, far)
