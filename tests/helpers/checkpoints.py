"""Make tiny random checkpoints of the real architectures with transformers."""

import math
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import Phi3Config, Phi3ForCausalLM, PhimoeConfig, PhimoeForCausalLM

TOKENIZER = Path(__file__).parents[1] / "data" / "phi3-tokenizer"
VOCABULARY = 32064

# The sizes that tell the variants apart; everything else of a variant stays at Phi-3's defaults.
PHI3_VARIANTS: dict[str, dict[str, Any]] = {
    "mini": {},
    "mini-4k": {"sliding_window": 2047},
    "mini-128k": {"max_position_embeddings": 131072, "rope": "longrope"},
    "medium": {"num_attention_heads": 8, "num_key_value_heads": 2},
    "phi-4": {
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "max_position_embeddings": 16384,
        "original_max_position_embeddings": 16384,
        "rope_theta": 250000.0,
    },
    "phi-4-mini": {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 131072,
        "rope": "longrope",
        "partial_rotary_factor": 0.75,
        "tie_word_embeddings": True,
        "sliding_window": 262144,
    },
}


def long_rope(dimensions: int, seed: int = 0) -> dict[str, Any]:
    """Return LongRoPE settings with rising random factors for heads that turn `dimensions` values."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.rand(2, dimensions // 2, generator=generator)
    return {
        "type": "longrope",
        "short_factor": (1 + steps[0].cumsum(0) / 4).tolist(),
        "long_factor": (1 + steps[1].cumsum(0) * 3).tolist(),
    }


def make_phi3(
    folder: Path,
    variant: str = "mini",
    *,
    seed: int = 0,
    dtype: str = "float32",
    tokenizer: bool = True,
    **changes: Any,
) -> Path:
    """Save a random model of a variant in `folder` as transformers writes it and return the folder."""
    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 4096,
        "bos_token_id": 1,
        "eos_token_id": 32000,
        "pad_token_id": 32000,
        **PHI3_VARIANTS[variant],
        **changes,
    }
    if settings.pop("rope", None) == "longrope":
        head = settings["hidden_size"] // settings["num_attention_heads"]
        dimensions = int(head * settings.get("partial_rotary_factor", 1.0))
        settings["rope_scaling"] = long_rope(dimensions, seed)
    model = _random_model(Phi3ForCausalLM(Phi3Config(**settings)), seed)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    if tokenizer:
        add_tokenizer(folder)
    return folder


def make_phimoe(folder: Path, *, seed: int = 0, tokenizer: bool = True, **changes: Any) -> Path:
    """Save a random model of Phi-3.5-MoE's structure in `folder` and return the folder."""
    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 128,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_local_experts": 8,
        "max_position_embeddings": 131072,
        "original_max_position_embeddings": 4096,
        "attention_bias": True,
        "lm_head_bias": True,
        "rope_theta": 10000.0,
        "eos_token_id": 32000,
        "pad_token_id": 0,
        **changes,
    }
    head = settings["hidden_size"] // settings["num_attention_heads"]
    settings["rope_scaling"] = long_rope(head, seed) | {
        "short_mscale": 1.243163121016122,
        "long_mscale": 1.243163121016122,
        "original_max_position_embeddings": settings["original_max_position_embeddings"],
    }
    _random_model(PhimoeForCausalLM(PhimoeConfig(**settings)), seed).save_pretrained(folder)
    if tokenizer:
        add_tokenizer(folder)
    return folder


def add_tokenizer(folder: Path) -> None:
    """Copy Phi-3-mini's tokenizer into a checkpoint."""
    for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "added_tokens.json"):
        shutil.copy(TOKENIZER / name, folder / name)


def _random_model(model: Any, seed: int) -> Any:
    """Fill a model with weights large enough that every part moves the logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                centre = 0 if name.endswith("bias") else 1
                parameter.copy_(centre + 0.2 * torch.randn(parameter.shape, generator=generator))
            else:
                scale = 1.5 / math.sqrt(parameter.shape[-1])
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()
