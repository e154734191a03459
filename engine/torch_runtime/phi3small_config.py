"""Describe the arithmetic of Phi-3-small in the words of its config.json; PyTorch is not needed for that."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Phi3SmallConfig:
    """Hold the keys of config.json that decide the arithmetic, under the same names."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    ff_intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    layer_norm_epsilon: float = 1e-5
    rope_embedding_base: float = 1e6
    rope_position_scale: float = 1.0
    rope_scaling: dict[str, Any] | None = None
    gegelu_limit: float | None = 20.0
    mup_use_scaling: bool = True
    mup_width_multiplier: float | None = 8.0
    mup_embedding_multiplier: float = 10.0
    mup_attn_multiplier: float = 1.0
    dense_attention_every_n_layers: int | None = 2
    blocksparse_block_size: int = 64
    blocksparse_num_local_blocks: int = 16
    blocksparse_vert_stride: int = 8
    blocksparse_homo_head_pattern: bool = False

    @classmethod
    def read(cls, path: Path) -> Phi3SmallConfig:
        """Read config.json; keys that the arithmetic does not need are left out."""
        values = json.loads(path.read_text("utf-8"))
        return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})

    @property
    def head_dim(self) -> int:
        """Return the width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def attention_scale(self) -> float:
        """Return what scores are multiplied by: 1/head_dim under muP."""
        return self.mup_attn_multiplier / self.head_dim if self.mup_use_scaling else self.head_dim**-0.5

    @property
    def original_context(self) -> int:
        """Return the length above which the long RoPE factors apply."""
        scaling = self.rope_scaling or {}
        return int(scaling.get("original_max_position_embeddings", self.max_position_embeddings))

    @property
    def head_step(self) -> int:
        """Return by how many blocks the vertical stripes of one head are shifted against those of the head before."""
        return (
            0
            if self.blocksparse_homo_head_pattern
            else max(1, self.blocksparse_vert_stride // self.num_attention_heads)
        )

    def is_dense(self, layer: int) -> bool:
        """Tell whether `layer` attends to everything before it."""
        every = self.dense_attention_every_n_layers
        return every is not None and every > 0 and (layer + 1) % every == 0

    def is_long(self, length: int) -> bool:
        """Tell whether a sequence of `length` tokens takes the long RoPE factors."""
        return self.rope_scaling is not None and length > self.original_context

    def rope(self, length: int) -> tuple[NDArray[np.float64], float]:
        """Return inverse frequencies `[head_dim / 2]` and the factor on cos and sin for `length` tokens."""
        frequencies = self.rope_embedding_base ** -(np.arange(0, self.head_dim, 2) / self.head_dim)
        if self.rope_scaling is None:
            return frequencies, 1.0
        branch = "long" if self.is_long(length) else "short"
        mscale = float(self.rope_scaling.get(f"{branch}_mscale", -1))
        if mscale <= 0:
            ratio = self.max_position_embeddings / self.original_context
            is_scaled = branch == "long" and ratio > 1
            mscale = math.sqrt(1 + math.log(ratio) / math.log(self.original_context)) if is_scaled else 1.0
        return frequencies / np.array(self.rope_scaling[f"{branch}_factor"], np.float64), mscale
