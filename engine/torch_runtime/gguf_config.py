"""Tell from the header of a GGUF file how its Phi-3-small computes; PyTorch is not needed for that."""

from __future__ import annotations

from dataclasses import replace

from converter.gguf_file import GGUFHeader
from converter.metadata import (
    BLOCK_SIZE_KEY,
    DENSE_LAYERS_KEY,
    GEGELU_LIMIT_KEY,
    HOMO_HEAD_PATTERN_KEY,
    LOCAL_BLOCKS_KEY,
    LONG_ATTENTION_FACTOR_KEY,
    SOURCE_ARCHITECTURE_KEY,
    VERTICAL_STRIDE_KEY,
)
from engine.torch_runtime.phi3small_config import Phi3SmallConfig

LONG_FACTORS, SHORT_FACTORS = "rope_factors_long.weight", "rope_factors_short.weight"

_MODEL_TYPE = "phi3small"
_FILES_KEY = "split.count"
_LEAST_TENSORS = 10  # in a layer
_EXACT_KEYS = (BLOCK_SIZE_KEY, LOCAL_BLOCKS_KEY, VERTICAL_STRIDE_KEY, HOMO_HEAD_PATTERN_KEY, DENSE_LAYERS_KEY)


def is_phi3small(header: GGUFHeader) -> bool:
    """Tell whether a file was converted from Phi-3-small."""
    return header.text(SOURCE_ARCHITECTURE_KEY) == _MODEL_TYPE


def exact_config(header: GGUFHeader) -> Phi3SmallConfig | None:
    """Read the configuration; None for other models, and for files that do not say enough or contradict themselves.

    LongRoPE's factors are weights; `rope_scaling` holds everything else of it.
    """
    says_enough = all(header.get(key) is not None for key in _EXACT_KEYS)
    if not is_phi3small(header) or not says_enough or header.number(_FILES_KEY, 1) > 1:
        return None
    config = _read(header)
    if not _is_consistent(config, header) or not _is_filled(config, header):
        return None
    if LONG_FACTORS not in header.tensors:
        return config
    scaling = _rope_scaling(header)
    return replace(config, rope_scaling=scaling) if min(scaling.values()) > 0 else None


def _read(header: GGUFHeader) -> Phi3SmallConfig:
    name = header.architecture
    embedding = int(header.number(f"{name}.embedding_length"))
    heads = int(header.number(f"{name}.attention.head_count"))
    limit = float(header.number(GEGELU_LIMIT_KEY))
    return Phi3SmallConfig(
        hidden_size=embedding,
        num_hidden_layers=int(header.number(f"{name}.block_count")),
        num_attention_heads=heads,
        num_key_value_heads=int(header.number(f"{name}.attention.head_count_kv")),
        ff_intermediate_size=int(header.number(f"{name}.feed_forward_length")),
        vocab_size=int(header.number(f"{name}.vocab_size")),
        max_position_embeddings=int(header.number(f"{name}.context_length")),
        layer_norm_epsilon=float(header.number(f"{name}.attention.layer_norm_rms_epsilon")),
        rope_embedding_base=float(header.number(f"{name}.rope.freq_base")),
        gegelu_limit=limit if limit > 0 else None,
        mup_width_multiplier=float(header.number(f"{name}.logit_scale")),
        mup_embedding_multiplier=float(header.number(f"{name}.embedding_scale")),
        mup_attn_multiplier=float(header.number(f"{name}.attention.scale")) * (embedding // max(heads, 1)),
        dense_attention_every_n_layers=int(header.number(DENSE_LAYERS_KEY)) or None,
        blocksparse_block_size=int(header.number(BLOCK_SIZE_KEY)),
        blocksparse_num_local_blocks=int(header.number(LOCAL_BLOCKS_KEY)),
        blocksparse_vert_stride=int(header.number(VERTICAL_STRIDE_KEY)),
        blocksparse_homo_head_pattern=header.get(HOMO_HEAD_PATTERN_KEY) is True,
    )


def _is_consistent(config: Phi3SmallConfig, header: GGUFHeader) -> bool:
    positive = (
        config.hidden_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.ff_intermediate_size,
        config.vocab_size,
        config.max_position_embeddings,
        config.layer_norm_epsilon,
        config.rope_embedding_base,
        config.mup_width_multiplier or 0,
        config.blocksparse_block_size,
        config.blocksparse_num_local_blocks,
        config.blocksparse_vert_stride,
    )
    return (
        min(positive) > 0
        and config.hidden_size % config.num_attention_heads == 0
        and config.num_attention_heads % config.num_key_value_heads == 0
        and config.head_dim % 2 == 0
        and config.head_dim == header.number(f"{header.architecture}.rope.dimension_count")
    )


def _is_filled(config: Phi3SmallConfig, header: GGUFHeader) -> bool:
    """Tell whether the largest sizes are those of weights that are there: a claim alone must not cost memory."""
    expected = {
        "token_embd.weight": (config.vocab_size, config.hidden_size),
        "blk.0.ffn_down.weight": (config.hidden_size, config.ff_intermediate_size),
    }
    found = {name: info.shape for name, info in header.tensors.items() if name in expected}
    return found == expected and len(header.tensors) > _LEAST_TENSORS * config.num_hidden_layers


def _rope_scaling(header: GGUFHeader) -> dict[str, float]:
    scaling = f"{header.architecture}.rope.scaling"
    short = float(header.number(f"{scaling}.attn_factor", 1.0))
    return {
        "short_mscale": short,
        "long_mscale": float(header.number(LONG_ATTENTION_FACTOR_KEY, short)),
        "original_max_position_embeddings": int(header.number(f"{scaling}.original_context_length")),
    }
