"""Open the model that a run starts from: its checkpoint directory, its text and chat format, its weights in PyTorch."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from converter.checkpoint import Checkpoint
from converter.convert import plan_conversion
from converter.vocab import Vocabulary, load_vocabulary
from engine.errors import EngineError
from engine.library.folders import resolve_model
from engine.training.dequantized import dequantized_checkpoint

TRAINABLE = ("phi3", "phimoe")


@dataclass(frozen=True)
class Base:
    """Describe the model that a run starts from.

    Attributes:
        folder: its checkpoint directory.
        name: what people call it.
        config: its config.json.
        vocabulary: what its GGUF file tells about text: chat template, stop ids, special tokens.
    """

    folder: Path
    name: str
    config: dict[str, Any]
    vocabulary: Vocabulary

    @property
    def architecture(self) -> str:
        """Return `model_type` of config.json."""
        return str(self.config["model_type"])

    @property
    def context(self) -> int:
        """Return how many tokens the model was trained for."""
        return int(self.config.get("max_position_embeddings", 4096))

    @property
    def longrope_line(self) -> int:
        """Return the length above which LongRoPE's long factors apply; 0 for models without."""
        rope = self.config.get("rope_scaling") or self.config.get("rope_parameters") or {}
        if "long_factor" not in rope:
            return 0
        line = self.config.get("original_max_position_embeddings") or rope.get("original_max_position_embeddings")
        return int(line or self.context)


def open_base(name: str, cache: Path, models_dir: Path | None = None) -> Base:
    """Open a checkpoint directory, or a model of the library whose weights can be unpacked into `cache`.

    Raises EngineError or ConversionError for what cannot be trained.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = dequantized_checkpoint(resolve_model(name, models_dir), cache)
    checkpoint = Checkpoint(folder)
    try:
        model_type = checkpoint.config.get("model_type")
        if model_type not in TRAINABLE:
            message = f"Models of the type {model_type!r} cannot be trained."
            raise EngineError("model_unsupported", message, f"Phidelity trains {' and '.join(TRAINABLE)} checkpoints.")
        vocabulary = load_vocabulary(checkpoint, plan_conversion(checkpoint).vocabulary_size)
    finally:
        checkpoint.close()
    if vocabulary is None:
        message = f"{folder.name} has no tokenizer, which training needs."
        raise EngineError("model_invalid", message, "Download its tokenizer files again.")
    title = "Starter" if name.lower() == "starter" else folder.name
    return Base(folder, title, json.loads((folder / "config.json").read_text("utf-8")), vocabulary)


def load_weights(base: Base, dtype: torch.dtype) -> PreTrainedModel:
    """Load the weights into the computer's memory. Raises EngineError `model_invalid`."""
    return _load(base, dtype=dtype)


def load_quantized(base: Base) -> PreTrainedModel:
    """Load the weights onto a GPU in 4 bits (NF4). Raises EngineError `model_unsupported` where that is impossible."""
    if not torch.cuda.is_available() or importlib.util.find_spec("bitsandbytes") is None:
        message = "QLoRA needs an NVIDIA GPU and the package bitsandbytes."
        raise EngineError("model_unsupported", message, "Choose the method lora.")
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return _load(base, dtype=torch.bfloat16, quantization_config=settings, device_map={"": 0})


def _load(base: Base, **options: Any) -> PreTrainedModel:
    if base.architecture == "phimoe":
        # The published configuration has 0.0; another value makes transformers ask for router logits.
        options["router_aux_loss_coef"] = 0.0
    disable_progress_bar()
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            base.folder,
            attn_implementation="sdpa",
            local_files_only=True,
            trust_remote_code=False,
            **options,
        )
    except (OSError, ValueError, RuntimeError) as error:
        message = f"The weights of {base.name} cannot be loaded."
        raise EngineError("model_invalid", message, "Check that the checkpoint is complete.", str(error)) from error
    model.config.use_cache = False
    return model.eval()
