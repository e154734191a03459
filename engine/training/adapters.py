"""Put low-rank adapters onto a model: the right layers of each architecture, all of them or an error."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from engine.errors import EngineError
from engine.training.vision_model import load_projector, projector_of

TARGETS = {
    "phi3": ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
    # The experts are three-dimensional parameters, which llama.cpp has no adapters for.
    "phimoe": ("q_proj", "k_proj", "v_proj", "o_proj"),
}


def attach_adapter(
    model: PreTrainedModel, *, rank: int, alpha: float, dropout: float, upper_layers: int, seed: int
) -> PeftModel:
    """Add adapters to the upper `upper_layers` layers (0: to all), in float32, and freeze everything else.

    Below the first adapter no gradient is computed, since nothing there is trained; only a model that sees has its
    projector there, which is trained whole. Raises EngineError
    `model_unsupported` when not every layer has every target.
    """
    n_layers = int(model.config.num_hidden_layers)
    first = max(0, n_layers - upper_layers) if upper_layers else 0
    targets = TARGETS[str(model.config.model_type)]
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        bias="none",
        task_type="CAUSAL_LM",
        target_modules=list(targets),
        layers_to_transform=list(range(first, n_layers)),
        layers_pattern="layers",
    )
    torch.manual_seed(seed)
    with _without_peft_warning():
        adapted = get_peft_model(model, config)
    found = {name for name, _ in lora_layers(adapted)}
    missing = len(targets) * (n_layers - first) - len(found)
    if missing:
        message = f"This model lacks {missing} of the layers that adapters belong to."
        raise EngineError("model_unsupported", message, "Choose a checkpoint of the Phi-3 family.", str(sorted(found)))
    projector = projector_of(adapted)
    if projector is not None:
        projector.requires_grad_(True)
    return adapted


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Put the adapter in `folder`, with the projector beside it, onto its base, for answering only."""
    with _without_peft_warning():
        adapted: PeftModel = PeftModel.from_pretrained(model, str(folder))
    projector = projector_of(adapted)
    if projector is not None:
        load_projector(projector, folder)
    adapted.eval()
    return adapted


@contextmanager
def _without_peft_warning() -> Iterator[None]:
    """Keep PEFT quiet, which reads an attribute whose name transformers is about to change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        yield


def lora_layers(model: Any) -> list[tuple[str, Any]]:
    """List the adapted layers with their names."""
    return [(name, module) for name, module in model.named_modules() if hasattr(module, "lora_A")]
