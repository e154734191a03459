"""Describe one LoRA adapter on disk."""

from dataclasses import dataclass
from pathlib import Path

from converter.companion_path import tuned_companion_path


@dataclass(frozen=True)
class AdapterCard:
    """Hold what the library knows of one adapter file without loading it.

    Attributes:
        name: what to call it.
        path: the GGUF file.
        size_bytes: size on disk.
        architecture: that of the models it fits, as llama.cpp calls it.
        base: the model it was trained on; empty where the file does not say.
        rank: the largest of its changes.
        companion: the picture part that was trained with it, without which it is another one; None where there is none.
    """

    name: str
    path: Path
    size_bytes: int
    architecture: str
    base: str
    rank: int
    companion: Path | None = None


def tuned_companion(adapter: Path) -> Path | None:
    """Return the picture part that was trained with an adapter, if it lies beside it."""
    beside = tuned_companion_path(adapter)
    return beside if beside.is_file() else None
