"""Give the reference vectors of the tiny vision model."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.vision.images import Picture, open_picture
from tests.helpers.fixtures import DATA

FOLDER = DATA / "phi3v-tiny" / "ref"


@dataclass(frozen=True)
class Case:
    """Hold one case: its prompt, the names of its pictures and the arrays of the reference."""

    name: str
    prompt: str
    num_crops: int
    pictures: tuple[str, ...]
    arrays: dict[str, np.ndarray]

    def __str__(self):
        return self.name

    def open(self, index: int = 0) -> Picture:
        """Open one of the pictures."""
        return open_picture(FOLDER / self.pictures[index])


def _read(entry: dict) -> Case:
    with np.load(FOLDER / entry["file"]) as arrays:
        pictures = entry.get("images") or [entry[key] for key in ("image",) if key in entry]
        return Case(Path(entry["file"]).stem, entry["prompt"], entry.get("num_crops", 0), tuple(pictures), dict(arrays))


CASES = [_read(entry) for entry in json.loads((FOLDER / "manifest.json").read_text())["cases"]]
ONE_PICTURE = [case for case in CASES if len(case.pictures) == 1]
