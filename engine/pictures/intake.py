"""Take a picture into a folder: its bytes as they are, a thumbnail, and a view for the screen."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from PIL import Image

from engine.errors import EngineError
from engine.pictures.stored_picture import DETAIL_CROPS, StoredPicture
from engine.vision.hd_transform import Pixels, crop_grid
from engine.vision.images import decode_picture, picture_format, read_picture_file

THUMBNAIL_SIDE = 320
VIEW_SIDE = 2048
_PNG_LEVEL = 3  # the higher ones take much longer and save little
_SUFFIXES = {"JPEG": ".jpg", "DIB": ".bmp", "TIFF": ".tif", "HEIF": ".heic"}


def take_in(source: Path, folder: Path, name: str) -> StoredPicture:
    """Read the picture in `source` and write its files into `folder`; `name` is what the user calls it.

    Raises EngineError `picture_invalid`, `out_of_memory` or `disk_full`, after which no file of it is left that was not
    there before.
    """
    data = read_picture_file(source, name)
    decoded = decode_picture(data, name)
    kind = picture_format(data)
    picture = StoredPicture(
        digest=hashlib.sha256(data).hexdigest(),
        suffix=_SUFFIXES.get(kind, f".{kind.lower()}"),
        width=decoded.width,
        height=decoded.height,
        fast_tokens=crop_grid(decoded.width, decoded.height, DETAIL_CROPS["fast"]).tokens,
        fine_tokens=crop_grid(decoded.width, decoded.height, DETAIL_CROPS["fine"]).tokens,
    )
    if not picture.is_whole(folder):
        _write_files(picture, folder, data, decoded.pixels)
    return picture


def _write_files(picture: StoredPicture, folder: Path, data: bytes, pixels: Pixels) -> None:
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, side in ((picture.view(folder), VIEW_SIDE), (picture.thumbnail(folder), THUMBNAIL_SIDE)):
            part = _part_of(path)
            written.append(part)
            _smaller(pixels, side).save(part, "PNG", compress_level=_PNG_LEVEL)
            part.replace(path)
            written[-1] = path
        # Last, because the others are of no use without it.
        part = _part_of(picture.file(folder))
        written.append(part)
        part.write_bytes(data)
        part.replace(picture.file(folder))
    except (OSError, MemoryError) as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise _failure(error) from error


def _smaller(pixels: Pixels, side: int) -> Image.Image:
    """Return the picture, made to fit a square where it is larger."""
    image = Image.fromarray(pixels)
    scale = side / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(round(length * scale), 1) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _part_of(path: Path) -> Path:
    """Name the unfinished file; two windows or processes never write the same one."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")


def _failure(error: OSError | MemoryError) -> EngineError:
    if isinstance(error, MemoryError):
        return EngineError("out_of_memory", "There is not enough memory for the picture.", "Close other programs.")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EngineError("disk_full", "The disk is full: the picture could not be kept.", "Free some space.")
    sentence = f"The picture could not be kept ({error.strerror})."
    return EngineError("disk_full", sentence, "Check the permissions of the data folder.")
