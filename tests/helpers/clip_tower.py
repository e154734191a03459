"""Make CLIP towers of any size with random weights, and companions of them."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModel

from converter.checkpoint import Checkpoint
from converter.clip_companion import companion_file
from converter.ggml_types import file_type
from converter.gguf_stream import write_gguf

EMBEDDING = 3072
VISION = "model.vision_embed_tokens."
CONFIG = {
    "model_type": "phi3_v",
    "hidden_size": EMBEDDING,
    "embd_layer": {
        "use_hd_transform": True,
        "with_learnable_separator": True,
        "projection_cls": "mlp",
        "hd_transform_order": "sub_glb",
    },
}


def random_tower(config: CLIPVisionConfig) -> Any:
    """Make a tower whose weights bfloat16 holds exactly."""
    tower = CLIPVisionModel(config).eval().to(torch.bfloat16).to(torch.float32)
    return getattr(tower, "vision_model", tower)


def companion_of(tower: Any, folder: Path) -> Path:
    """Write the tower as a checkpoint names it, with a random projector, and convert it as an import does."""
    out = folder / "tower.mmproj.gguf"
    if not out.exists():
        tensors = {VISION + "img_processor.vision_model." + name: value for name, value in tower.state_dict().items()}
        merged = 4 * tower.config.hidden_size
        for name, shape in (
            ("img_projection.0.weight", (EMBEDDING, merged)),
            ("img_projection.0.bias", (EMBEDDING,)),
            ("img_projection.2.weight", (EMBEDDING, EMBEDDING)),
            ("img_projection.2.bias", (EMBEDDING,)),
            ("sub_GN", (1, 1, 1, merged)),
            ("glb_GN", (1, 1, merged)),
        ):
            tensors[VISION + name] = torch.randn(shape) / 64
        checkpoint_folder = folder / "checkpoint"
        checkpoint_folder.mkdir(exist_ok=True)
        floats = {name: value.to(torch.bfloat16) for name, value in tensors.items() if value.is_floating_point()}
        save_file(floats, checkpoint_folder / "model.safetensors")
        sizes = {"_tiny_clip_vision_config_not_in_hub": tower.config.to_dict()}
        (checkpoint_folder / "config.json").write_text(json.dumps(CONFIG | sizes))
        checkpoint = Checkpoint(checkpoint_folder)
        write_gguf(out, *companion_file(checkpoint, file_type("f16"), "CLIP"), threads=2)
        checkpoint.close()
    return out
