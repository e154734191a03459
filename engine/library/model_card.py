"""Describe one model on disk in the terms that a user compares models by."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelCard:
    """Hold what the library knows of one GGUF file without loading it.

    Attributes:
        name: what to call it, from `general.name` or the file name.
        path: the GGUF file itself (the target when `reference` is set).
        size_bytes: size on disk.
        architecture: `general.architecture` of the file.
        quantization: llama.cpp's name of the file type, such as `Q4_K_M`; empty when unknown.
        parameters: number of weights.
        context_train: longest context the model was trained for, in tokens.
        memory_bytes: estimated need with a conversation of 4,096 tokens (weights, KV cache, buffers).
        built_in: comes with the program and cannot be deleted.
        reference: the small file in the library that points at a GGUF used where it lies, else None.
        problem: one sentence when the file cannot be used, else None; other numbers are then 0.
    """

    name: str
    path: Path
    size_bytes: int = 0
    architecture: str = ""
    quantization: str = ""
    parameters: int = 0
    context_train: int = 0
    memory_bytes: int = 0
    built_in: bool = False
    reference: Path | None = None
    problem: str | None = None
