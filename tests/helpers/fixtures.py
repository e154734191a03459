"""Unpack the reference checkpoints of tests/data."""

import lzma
import shutil
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


def unpack_checkpoint(name: str, folder: Path) -> Path:
    """Copy the checkpoint `tests/data/name` into `folder` with packed files expanded; return the new directory."""
    target = folder / name
    shutil.copytree(DATA / name, target, ignore=shutil.ignore_patterns("ref", "*.xz"))
    for packed in (DATA / name).glob("*.xz"):
        (target / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    return target
