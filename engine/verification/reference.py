"""Evaluate a checkpoint with its reference implementation in PyTorch."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from engine.errors import EngineError
from engine.torch_runtime.cache import Cache
from engine.torch_runtime.phi3small import Phi3Small
from engine.verification.bands import Sequence
from engine.verification.compare import Rows

MEMORY_SHARE = 0.8
"""How much of the free memory the reference's weights may take."""


class Reference:
    """Hold a checkpoint's model in PyTorch; float32 when that fits into memory, bfloat16 otherwise."""

    def __init__(self, checkpoint: Path) -> None:
        """Load the model. Raises EngineError `out_of_memory` or `model_unsupported`."""
        self.config: dict[str, Any] = json.loads((checkpoint / "config.json").read_text("utf-8"))
        self.dtype = _choose_dtype(checkpoint)
        self._is_small = self.config.get("model_type") == "phi3small"
        self._model: Any = Phi3Small.load(checkpoint, self.dtype) if self._is_small else self._load(checkpoint)

    def _load(self, checkpoint: Path) -> Any:
        from transformers import AutoConfig, AutoModelForCausalLM, logging

        # What a language model does not take of a vision checkpoint is no concern of the user.
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        values = known_to_transformers(self.config)
        try:
            config = AutoConfig.for_model(values.pop("model_type", None), **values)
            model = AutoModelForCausalLM.from_pretrained(
                checkpoint, config=config, dtype=self.dtype, attn_implementation="sdpa", local_files_only=True
            )
        except (ValueError, KeyError) as error:
            message = f"There is no reference for the architecture {self.config.get('model_type')!r} in transformers."
            raise EngineError("model_unsupported", message, None, str(error)) from error
        model.train(False)
        return model

    @torch.inference_mode()
    def rows(self, ids: list[int], sequence: Sequence) -> Rows:
        """Return float32 logits `[all positions of the bands in order, n_vocab]` of the sequence's first tokens."""
        keep = torch.tensor([position for band in sequence.bands for position in band.positions])
        ids = ids[: sequence.length]
        if self._is_small:
            logits = self._model.evaluate(ids, Cache(), keep)
        else:
            with self._long_factors_of_phimoe(len(ids)):
                logits = self._model(torch.tensor([ids]), logits_to_keep=keep, use_cache=False).logits[0]
        rows: Rows = logits.float().numpy()
        return rows

    @contextmanager
    def _long_factors_of_phimoe(self, length: int) -> Iterator[None]:
        """Let a long sequence have the long factors: transformers 5 gives Phi-3.5-MoE the short ones at any length.

        Microsoft's own code goes over to the long ones (modeling_phimoe.py, `Phi3LongRoPEScaledRotaryEmbedding`).
        """
        rope = getattr(self._model.config, "rope_parameters", None) or {}
        is_moe = self.config.get("model_type") == "phimoe" and "long_factor" in rope
        if not is_moe or length <= rope["original_max_position_embeddings"]:
            yield
            return
        short = rope["short_factor"]
        rope["short_factor"] = rope["long_factor"]
        try:
            yield
        finally:
            rope["short_factor"] = short

    @property
    def clamp_share(self) -> float | None:
        """Return which share of the feed-forward values Phi-3-small's clamps changed so far; None for other models."""
        return self._model.clamped_values / max(self._model.seen_values, 1) if self._is_small else None


def known_to_transformers(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration in the words of transformers 5: "su" is LongRoPE, Phi-3-vision writes as Phi-3."""
    known = {name: value for name, value in config.items() if name not in ("architectures", "auto_map", "torch_dtype")}
    if config.get("model_type") == "phi3_v":
        known["model_type"] = "phi3"
    scaling = config.get("rope_scaling")
    if isinstance(scaling, dict) and "su" in (scaling.get("type"), scaling.get("rope_type")):
        known["rope_scaling"] = {**scaling, "type": "longrope", "rope_type": "longrope"}
    return known


def _choose_dtype(checkpoint: Path) -> torch.dtype:
    stored = sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))
    free = psutil.virtual_memory().available * MEMORY_SHARE
    if 2 * stored <= free:  # checkpoints of this family are stored in 16 bits
        return torch.float32
    if stored <= free:
        return torch.bfloat16
    message = f"The reference needs {stored / 1e9:.0f} GB of memory and {free / 1e9:.0f} GB are free."
    raise EngineError("out_of_memory", message, "Close other programs, or verify on a larger computer.")
