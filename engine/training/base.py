"""Open the model that a run starts from: its checkpoint directory, its text and chat format, its weights in PyTorch."""

import importlib.util
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from converter.checkpoint import Checkpoint
from converter.convert import plan_conversion
from converter.gguf_stream import ProgressCallback
from converter.metadata import WITH_PICTURES
from converter.vocab import Vocabulary, load_vocabulary
from engine.errors import EngineError
from engine.library.folders import resolve_model
from engine.training.dequantized import dequantized_checkpoint
from engine.training.picture_store import PictureStore, open_store
from engine.training.vision_model import give_eyes
from engine.verification.reference import known_to_transformers

TRAINABLE = ("phi3", "phimoe", "phi3_v")


@dataclass(frozen=True)
class Base:
    """Describe the model that a run starts from.

    Attributes:
        folder: its checkpoint directory.
        name: what people call it.
        config: its config.json.
        vocabulary: what its GGUF file tells about text: chat template, stop ids, special tokens.
        pictures: what a model that sees sees, once a run has opened it.
    """

    folder: Path
    name: str
    config: dict[str, Any]
    vocabulary: Vocabulary
    pictures: PictureStore | None = None

    @property
    def architecture(self) -> str:
        """Return `model_type` of config.json."""
        return str(self.config["model_type"])

    @property
    def sees(self) -> bool:
        """Tell whether it is a model with pictures."""
        return self.architecture in WITH_PICTURES

    @property
    def stored_type(self) -> str:
        """Return the file type whose numbers are those of the checkpoint: `f32`, `f16` or `bf16`."""
        dtype = str(self.config.get("dtype") or self.config.get("torch_dtype") or "bfloat16")
        return {"float32": "f32", "float16": "f16"}.get(dtype, "bf16")

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


def with_pictures(base: Base, folder: Path, num_crops: int, threads: int, progress: ProgressCallback) -> Base:
    """Open the tower of a base that sees, for a run that keeps feature maps of pictures in `folder`.

    Raises EngineError or ConversionError; `progress` cancels by raising.
    """
    store = open_store(base.folder, base.stored_type, folder, num_crops, threads, progress)
    return replace(base, pictures=store)


def load_weights(base: Base, dtype: torch.dtype) -> PreTrainedModel:
    """Load the weights into the computer's memory. Raises EngineError `model_invalid`."""
    if not base.sees:
        return _load(base, dtype=dtype)
    assert base.pictures is not None
    # What a language model does not take of a vision checkpoint is no concern of the user.
    set_verbosity_error()
    values = known_to_transformers(base.config)
    model = _load(base, dtype=dtype, config=AutoConfig.for_model(values.pop("model_type"), **values))
    give_eyes(model, base.folder, base.pictures.hd_transform_order, base.pictures.features)
    return model


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
