"""Train nothing: make LoRA adapters with random weights, as PEFT saves them, and evaluate them with PyTorch."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM

PHI3_MODULES = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")


def make_adapter(folder: Path, checkpoint: Path, *, seed: int = 0, **settings: Any) -> Path:
    """Save a random adapter for a checkpoint in `folder` and return the folder; rank 4 and alpha 8 if not given."""
    settings = {"r": 4, "lora_alpha": 8, "target_modules": list(PHI3_MODULES), **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of embeddings, biases and tied weights
        model = get_peft_model(_model(checkpoint), LoraConfig(**settings))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    noise = torch.randn(parameter.shape, generator=generator)
                    parameter.add_(0.3 * noise / max(parameter.shape[-1], 1) ** 0.5)
        model.save_pretrained(folder)
    return folder


def peft_logits(checkpoint: Path, adapter: Path, ids: Sequence[int], scale: float = 1.0) -> NDArray[np.float32]:
    """Evaluate `ids` with the base model and the adapter `scale` times, as PEFT does without merging."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(_model(checkpoint), adapter).eval()
    for module in model.modules():
        if isinstance(scaling := getattr(module, "scaling", None), dict):
            scaling.update({name: value * scale for name, value in scaling.items()})
    with torch.no_grad():
        return model(torch.tensor([list(ids)]), use_cache=False).logits[0].numpy()


def write_adapter(folder: Path, tensors: dict[str, NDArray[np.float32]], **settings: Any) -> Path:
    """Save tensors, named after modules, as an adapter of PEFT's; for models that transformers does not know."""
    folder.mkdir()
    save_file(
        {f"base_model.model.{name}": tensor for name, tensor in tensors.items()}, folder / "adapter_model.safetensors"
    )
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, **settings}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def _model(checkpoint: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager")
