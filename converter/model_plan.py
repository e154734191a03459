"""Describe what is written for a model: its architecture in llama.cpp, its settings and its tensors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converter.configuration import DecoderSize, Rope
from converter.gguf_writer import float32, uint32
from converter.lazy_tensors import ArrayRows, RowSource
from converter.metadata import LONG_ATTENTION_FACTOR_KEY, Metadata, rope_metadata
from converter.tensor_types import ModelShape


@dataclass(frozen=True)
class ModelPlan:
    """Hold all that an architecture decides; tensors are named as in the file and read when they are written.

    `late_metadata` reads weights, so it is called only when a file is written.
    """

    architecture: str
    metadata: Metadata
    tensors: dict[str, RowSource]
    shape: ModelShape
    vocabulary_size: int
    warnings: tuple[str, ...] = ()
    late_metadata: Callable[[], Metadata] = dict


def decoder_metadata(architecture: str, sizes: DecoderSize, epsilon: float, rope: Rope) -> Metadata:
    """Describe a decoder in the words of llama.cpp."""
    metadata = {
        f"{architecture}.vocab_size": uint32(sizes.vocabulary),
        f"{architecture}.context_length": uint32(sizes.context),
        f"{architecture}.embedding_length": uint32(sizes.embedding),
        f"{architecture}.feed_forward_length": uint32(sizes.feed_forward),
        f"{architecture}.block_count": uint32(sizes.n_layers),
        f"{architecture}.attention.head_count": uint32(sizes.n_heads),
        f"{architecture}.attention.head_count_kv": uint32(sizes.n_kv_heads),
        f"{architecture}.attention.layer_norm_rms_epsilon": float32(epsilon),
        f"{architecture}.rope.scaling.original_context_length": uint32(rope.original_context),
    }
    if rope.long_factors is not None:
        metadata[f"{architecture}.rope.scaling.attn_factor"] = float32(rope.attention_factor)
        if rope.long_attention_factor != rope.attention_factor:
            metadata[LONG_ATTENTION_FACTOR_KEY] = float32(rope.long_attention_factor)
    return metadata | rope_metadata(architecture, rope.dimensions, rope.theta)


def rope_tensors(rope: Rope) -> dict[str, RowSource]:
    """Return LongRoPE's factors as the tensors llama.cpp looks for."""
    if rope.short_factors is None or rope.long_factors is None:
        return {}
    return {
        "rope_factors_long.weight": ArrayRows(np.array(rope.long_factors, np.float32)),
        "rope_factors_short.weight": ArrayRows(np.array(rope.short_factors, np.float32)),
    }


def model_shape(sizes: DecoderSize, n_experts: int = 0) -> ModelShape:
    """Return what the choice of tensor types depends on."""
    return ModelShape(sizes.n_layers, sizes.n_heads, sizes.n_kv_heads, n_experts)
