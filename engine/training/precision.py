"""Choose the numbers that a run computes with."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Precision:
    """Say on what device and in which type weights are kept and products are made.

    Attributes:
        device: `cpu` or `cuda`.
        frozen: type of weights that are not trained.
        compute: type of the products.
    """

    device: str
    frozen: torch.dtype
    compute: torch.dtype

    def autocast(self) -> AbstractContextManager[object]:
        """Give the context in which a forward pass runs."""
        if self.compute == torch.float32:
            return nullcontext()
        context: AbstractContextManager[object] = torch.autocast(self.device, self.compute)
        return context


def choose_precision(wanted: str = "auto") -> Precision:
    """Take bfloat16 where the processor multiplies it in hardware, float32 otherwise; `wanted` may force either."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "float32" or (wanted == "auto" and not _multiplies_bfloat16(device)):
        return Precision(device, torch.float32, torch.float32)
    return Precision(device, torch.bfloat16, torch.bfloat16)


def _multiplies_bfloat16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, check, bool)()) for check in checks)
