"""Describe a picture that was taken into a profile, and say which files it has there."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import EngineError

Detail = Literal["fast", "fine"]
DETAIL_CROPS: dict[Detail, int] = {"fast": 4, "fine": 16}
"""Into how many crops a picture is cut at most; Phi-3-vision was trained with both numbers."""

THUMBNAIL_SUFFIX = ".thumbnail.png"
VIEW_SUFFIX = ".view.png"
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SUFFIX = re.compile(r"\.[a-z]{2,5}", re.ASCII)


def detail_for(num_crops: int) -> Detail:
    """Return the detail that comes nearest to a number of crops."""
    return min(DETAIL_CROPS, key=lambda detail: abs(DETAIL_CROPS[detail] - num_crops))


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """Hold what is known of a picture; the bytes lie in a folder of pictures under their SHA-256.

    `width` and `height` are those of the upright picture, `fast_tokens` and `fine_tokens` what it takes of a context.
    """

    digest: str
    suffix: str
    width: int
    height: int
    fast_tokens: int
    fine_tokens: int

    def tokens(self, detail: Detail) -> int:
        """Return what the picture takes of a context when it is looked at in this detail."""
        return self.fine_tokens if detail == "fine" else self.fast_tokens

    def file(self, folder: Path) -> Path:
        """Return the file with the original bytes."""
        return folder / f"{self.digest}{self.suffix}"

    def thumbnail(self, folder: Path) -> Path:
        """Return the small PNG for lists."""
        return folder / f"{self.digest}{THUMBNAIL_SUFFIX}"

    def view(self, folder: Path) -> Path:
        """Return the PNG for looking at the picture."""
        return folder / f"{self.digest}{VIEW_SUFFIX}"

    def is_whole(self, folder: Path) -> bool:
        """Tell whether all files of the picture are there."""
        return all(path.is_file() for path in (self.file(folder), self.thumbnail(folder), self.view(folder)))


def digest_of_file(path: Path) -> str | None:
    """Return which picture a file of a folder of pictures belongs to; None for other files."""
    digest = path.name.partition(".")[0]
    return digest if _DIGEST.fullmatch(digest) else None


def encode(outcome: StoredPicture | EngineError) -> str:
    """Write what came of a picture as one line of JSON."""
    if isinstance(outcome, StoredPicture):
        return json.dumps({"picture": dataclasses.asdict(outcome)})
    names = ("code", "message", "remedy", "details")
    return json.dumps({"error": {name: getattr(outcome, name) for name in names}})


def decode(line: str) -> StoredPicture | EngineError | None:
    """Read such a line; None when it is not one."""
    try:
        fields = json.loads(line)
        if "error" in fields:
            return EngineError(**fields["error"])
        picture = StoredPicture(**fields["picture"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    numbers = (picture.width, picture.height, picture.fast_tokens, picture.fine_tokens)
    named = isinstance(picture.digest, str) and isinstance(picture.suffix, str)
    # Names of files are made of these two.
    if not named or not _DIGEST.fullmatch(picture.digest) or not _SUFFIX.fullmatch(picture.suffix):
        return None
    return picture if all(isinstance(number, int) and number > 0 for number in numbers) else None
