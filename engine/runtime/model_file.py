"""Look into a GGUF file before llama.cpp loads it, and at what llama.cpp does not know about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.adapter_file import is_adapter
from converter.errors import ConversionError
from converter.faults import Fault, find_faults, forbids_marker, is_family
from converter.gguf_file import GGUFHeader, read_header
from converter.metadata import (
    FAITHFUL_CONTEXT_KEY,
    LOGIT_BIAS_KEY,
    LONG_ATTENTION_FACTOR_KEY,
    MASKED_TOKENS_KEY,
    STOP_IDS_KEY,
)
from engine.errors import EngineError
from engine.runtime.layer_sizes import LayerSizes
from engine.runtime.sparse_mixer import SparseMixer
from engine.torch_runtime.gguf_config import exact_config, is_phi3small
from engine.torch_runtime.phi3small_config import Phi3SmallConfig

_ALL_F32 = 0
_FETCH_REMEDY = "Get the file again, or convert the checkpoint again."


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Hold the facts that decide how a file is loaded and evaluated.

    Attributes:
        path: the file.
        size_bytes: its size.
        architecture: `general.architecture`.
        context_length: the longest sequence that the model was trained for.
        layer_sizes: how much memory each layer needs.
        original_context_length: where LongRoPE goes over to its long factors; None for models without it.
        long_attention_scale: what attention is scaled by under the long factors, relative to the short ones.
        logit_bias: float32 `[n_vocab]` that is a part of all logits and not of the graph; None for most models.
        masked_tokens: ids that are never sampled.
        stop_ids: ids at which the checkpoint's own settings end an answer.
        sparse_mixer: what puts the weights of the experts right; None for models without experts of this kind.
        faithful_context: up to how many tokens llama.cpp computes what the reference does; 0 where there is no limit.
        is_phi3small: whether PyTorch could compute it exactly.
        exact: what PyTorch needs to know for that; None for other models and where the file does not say it.
        full_precision: whether the weights are kept in 32 bits.
        name_misleads: whether llama.cpp takes the model for a Phi-3 by its name, and cannot load it for that reason.
        is_family: whether the file holds a model of the Phi-3 family.
        faults: what keeps such a file from computing what its reference does, as far as the header tells.
    """

    path: Path
    size_bytes: int
    architecture: str
    context_length: int
    layer_sizes: LayerSizes
    original_context_length: int | None
    long_attention_scale: float
    logit_bias: NDArray[np.float32] | None
    masked_tokens: NDArray[np.int64]
    stop_ids: frozenset[int]
    sparse_mixer: SparseMixer | None
    faithful_context: int
    is_phi3small: bool
    exact: Phi3SmallConfig | None
    full_precision: bool
    name_misleads: bool
    is_family: bool
    faults: tuple[Fault, ...]

    @classmethod
    def read(cls, path: Path) -> ModelFile:
        """Read the header of a file; raises EngineError when it cannot be a language model."""
        try:
            header = read_header(path)
        except ConversionError as error:
            raise EngineError(error.code, error.message, error.remedy) from error
        architecture = header.architecture
        if not architecture:
            sentence = f"{path.name} does not say which architecture it holds."
            raise EngineError("model_invalid", sentence, _FETCH_REMEDY)
        if is_adapter(header):
            sentence = f"{path.name} is a LoRA adapter, not a model."
            raise EngineError("model_unsupported", sentence, "Choose the model that it belongs to.")
        if architecture == "clip":
            sentence = f"{path.name} is the vision part of a model, not a language model."
            raise EngineError("model_unsupported", sentence, "Choose the language model that it belongs to.")
        has_long_rope = "rope_factors_long.weight" in header.tensors
        line = int(header.number(f"{architecture}.rope.scaling.original_context_length"))
        short_scale = float(header.number(f"{architecture}.rope.scaling.attn_factor", 1.0)) or 1.0
        return cls(
            path=path,
            size_bytes=header.size,
            architecture=architecture,
            context_length=int(header.number(f"{architecture}.context_length")),
            layer_sizes=LayerSizes.of(header),
            original_context_length=line if has_long_rope and line > 0 else None,
            long_attention_scale=float(header.number(LONG_ATTENTION_FACTOR_KEY, short_scale)) / short_scale,
            logit_bias=_logit_bias(header),
            masked_tokens=_masked_tokens(header),
            stop_ids=_stop_ids(header),
            sparse_mixer=SparseMixer.of(header),
            faithful_context=max(0, int(header.number(FAITHFUL_CONTEXT_KEY))),
            is_phi3small=is_phi3small(header),
            exact=exact_config(header),
            full_precision=header.number("general.file_type", -1) == _ALL_F32,
            name_misleads=forbids_marker(header),
            is_family=is_family(header),
            faults=find_faults(header),
        )


def _logit_bias(header: GGUFHeader) -> NDArray[np.float32] | None:
    bias = _numbers(header, LOGIT_BIAS_KEY)
    if bias is None:
        return None
    if len(bias) != _vocabulary_size(header) or not np.isfinite(bias).all():
        sentence = f"The logit bias of {header.path.name} does not fit its vocabulary."
        raise EngineError("model_invalid", sentence, _FETCH_REMEDY)
    return bias.astype(np.float32)


def _masked_tokens(header: GGUFHeader) -> NDArray[np.int64]:
    tokens = _numbers(header, MASKED_TOKENS_KEY)
    if tokens is None:
        return np.zeros(0, np.int64)
    return tokens[(tokens >= 0) & (tokens < _vocabulary_size(header))].astype(np.int64)


def _stop_ids(header: GGUFHeader) -> frozenset[int]:
    tokens = _numbers(header, STOP_IDS_KEY)
    return frozenset() if tokens is None else frozenset(int(token) for token in tokens)


def _vocabulary_size(header: GGUFHeader) -> int:
    embedding = header.tensors.get("token_embd.weight")
    return embedding.shape[0] if embedding else 0


def _numbers(header: GGUFHeader, key: str) -> NDArray[Any] | None:
    value = header.get(key)
    return value if isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.number) else None
