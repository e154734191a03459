"""Describe one model on disk in the terms that a user compares models by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the window shows cards before it has numpy
    from converter.faults import Fault
    from engine.library.verification_record import VerificationRecord


@dataclass(frozen=True)
class ModelCard:
    """Hold what the library knows of one GGUF file without loading it.

    Attributes:
        name: what to call it, from `general.name` or the file name.
        path: the GGUF file itself (the target when `reference` is set).
        size_bytes: size on disk, the companion included.
        architecture: `general.architecture` of the file.
        quantization: llama.cpp's name of the file type, such as `Q4_K_M`; empty when unknown.
        parameters: number of weights.
        context_train: longest context the model was trained for, in tokens.
        memory_bytes: estimated need with a conversation of 4,096 tokens (weights, companion, KV cache, buffers).
        built_in: comes with the program and cannot be deleted.
        reference: the small file in the library that points at a GGUF used where it lies, else None.
        faults: what keeps the file from computing what its reference does, as far as the header tells.
        faithful_context: up to how many tokens it computes that; 0 where there is no such limit.
        verification: what a comparison with the reference found; None when there was none.
        is_adapter: it is a LoRA adapter, which is nothing on its own (adapters.py has its card).
        problem: one sentence when the file cannot be used, else None; other numbers are then 0.
        companion: the file beside it with the tower of a vision model, else None.
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
    faults: tuple[Fault, ...] = ()
    faithful_context: int = 0
    verification: VerificationRecord | None = None
    is_adapter: bool = False
    problem: str | None = None
    companion: Path | None = None

    @property
    def has_vision(self) -> bool:
        """Tell whether the model can be shown pictures."""
        return self.companion is not None
