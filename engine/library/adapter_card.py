"""Describe one LoRA adapter on disk."""

from dataclasses import dataclass
from pathlib import Path


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
    """

    name: str
    path: Path
    size_bytes: int
    architecture: str
    base: str
    rank: int
