"""Choose where and in which numbers PyTorch computes a model, and say no where it does not fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.errors import EngineError
from engine.runtime.context_plan import FIRST_CELLS
from engine.runtime.hardware import free_memory
from engine.runtime.offload import Offload
from engine.torch_runtime.gguf_weights import weight_bytes
from engine.torch_runtime.phi3small_config import Phi3SmallConfig

# Activations, logits and PyTorch's own buffers.
_RESERVE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Placement:
    """Hold the device in PyTorch's words, the type of the weights, and one phrase for the user."""

    device: str
    dtype: torch.dtype
    runs_on: str

    def offload(self, layers: int) -> Offload:
        """Give this in the terms of the protocol; the output counts as a layer of its own."""
        return Offload(0 if self.device == "cpu" else layers + 1, self.runs_on)


def place(config: Phi3SmallConfig, *, full_precision: bool, allow_gpu: bool) -> Placement:
    """Choose a GPU when everything fits there, else the processor; raises EngineError `out_of_memory`.

    Files in 32 bits are computed in 32 bits, all others in bfloat16, the type that the model was trained in.
    """
    dtype = torch.float32 if full_precision else torch.bfloat16
    needed = weight_bytes(config, dtype.itemsize) + FIRST_CELLS * cache_bytes_per_token(config, dtype) + _RESERVE_BYTES
    if allow_gpu and torch.cuda.is_available() and torch.cuda.mem_get_info()[0] >= needed:
        return Placement("cuda", dtype, f"{torch.cuda.get_device_name()}, PyTorch (exact)")
    free = free_memory()
    if needed > free:
        sentence = f"On PyTorch the model needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free."
        raise EngineError("out_of_memory", sentence, "Close other programs to have it computed exactly.")
    return Placement("cpu", dtype, "CPU, PyTorch (exact)")


def cache_bytes_per_token(config: Phi3SmallConfig, dtype: torch.dtype) -> int:
    """Give the memory of the keys and values of one token."""
    return 2 * int(dtype.itemsize) * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
