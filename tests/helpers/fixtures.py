"""Unpack the reference checkpoints of tests/data."""

import lzma
import shutil
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


def unpack_checkpoint(name: str, folder: Path) -> Path:
    """Copy the checkpoint `tests/data/name` into `folder` with its weights expanded; return the new directory."""
    target = folder / name
    shutil.copytree(DATA / name, target, ignore=shutil.ignore_patterns("ref", "*.xz"))
    packed = (DATA / name / "model.safetensors.xz").read_bytes()
    (target / "model.safetensors").write_bytes(lzma.decompress(packed))
    return target
