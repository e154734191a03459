"""Turn the bytes of a picture from anywhere into upright RGB pixels, without trusting them."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from engine.errors import EngineError

MAX_FILE_BYTES = 100 << 20
MAX_PIXELS = 80_000_000  # below the size at which Pillow itself warns
# Nothing that starts other programs (EPS) or that nobody sends.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF")
_READABLE = "Choose a PNG, JPEG, WebP, GIF, BMP or TIFF file."
_GET_AGAIN = "Get the file again, or choose another picture."
_SMALLER = "Make the picture smaller, or send a part of it."


@dataclass(frozen=True, eq=False)
class Picture:
    """Hold upright pixels, uint8 `[height, width, 3]`, and a digest of them that tells two pictures apart."""

    pixels: NDArray[np.uint8]
    digest: str

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return int(self.pixels.shape[0])


def open_picture(path: Path) -> Picture:
    """Read the picture in a file; raises EngineError `picture_invalid`."""
    return decode_picture(read_picture_file(path, path.name), path.name)


def read_picture_file(path: Path, name: str) -> bytes:
    """Return the bytes of a file that may be a picture, called `name`; raises EngineError `picture_invalid`."""
    try:
        if not path.is_file():
            problem = "is a folder" if path.is_dir() else "does not exist"
            raise _invalid(f"{name} {problem}.", "Choose another picture.")
        _check_bytes(path.stat().st_size, name)
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise _invalid(f"{name} cannot be read: {reason}.", "Choose another picture.") from error


def decode_picture(data: bytes, name: str = "The picture") -> Picture:
    """Decode a picture of any supported format, whatever its name says; raises EngineError `picture_invalid`.

    The first frame counts, EXIF orientation is applied, and transparency is dropped as the original processor does.
    """
    _check_bytes(len(data), name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities in metadata are no concern of the user
            pixels = _decode(data, name)
    except EngineError:
        raise
    except UnidentifiedImageError as error:
        raise _invalid(f"{name} is not a picture that can be read.", _READABLE) from error
    except MemoryError as error:
        raise EngineError("out_of_memory", f"There is not enough memory to open {name}.", _SMALLER) from error
    except Exception as error:  # decoders fail on hostile data in every way there is
        raise _invalid(f"{name} is damaged or incomplete.", _GET_AGAIN, repr(error)) from error
    size = f"{pixels.shape[1]}x{pixels.shape[0]}:".encode()
    return Picture(pixels, hashlib.sha256(size + pixels.tobytes()).hexdigest())


def picture_format(data: bytes) -> str:
    """Return the format of a picture that was decoded, as Pillow names it, whatever the name of its file says."""
    with Image.open(io.BytesIO(data), formats=_formats()) as image:
        return image.format or ""


def _decode(data: bytes, name: str) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=_formats()) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            sentence = f"{name} has {width} x {height} pixels; {MAX_PIXELS // 1_000_000} million are the most."
            raise _invalid(sentence, _SMALLER)
        image.load()
        return np.asarray(_to_rgb(_upright(image)))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF says nothing about the pixels
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow clips 16 bits to 255 instead of scaling them: such a picture would be all white.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _formats() -> list[str]:
    """Return the formats that this Pillow reads, with HEIC where its plugin is installed."""
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pillow_heif.register_heif_opener()
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check_bytes(count: int, name: str) -> None:
    if count == 0:
        raise _invalid(f"{name} is empty.", _GET_AGAIN)
    if count > MAX_FILE_BYTES:
        sentence = f"{name} has {count / 1e6:.0f} MB; {MAX_FILE_BYTES // 1_000_000} MB are the most."
        raise _invalid(sentence, _SMALLER)


def _invalid(message: str, remedy: str, details: str | None = None) -> EngineError:
    return EngineError("picture_invalid", message, remedy, details)
