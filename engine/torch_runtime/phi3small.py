"""Run Phi-3-small exactly in PyTorch: block-sparse attention, clamped GEGLU, muP scales, LongRoPE.

Nothing else computes this model to the letter: llama.cpp has no graph for it, and the one it can be folded into knows
neither the clamps nor the sparse mask. Written from the published configuration and the Phi-3 report, arXiv 2404.14219.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn.functional import embedding, layer_norm, linear

QUERY_CHUNK = 256
QUICK_GELU = 1.702


@dataclass(frozen=True)
class Phi3SmallConfig:
    """Hold the keys of config.json that decide the arithmetic, under the same names."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
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
    def read(cls, path: Path) -> "Phi3SmallConfig":
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

    def is_dense(self, layer: int) -> bool:
        """Tell whether `layer` attends to everything before it."""
        every = self.dense_attention_every_n_layers
        return every is not None and every > 0 and (layer + 1) % every == 0

    def rope(self, length: int) -> tuple[Tensor, float]:
        """Return inverse frequencies `[head_dim / 2]` and the factor on cos and sin for `length` tokens."""
        exponents = torch.arange(0, self.head_dim, 2, dtype=torch.float64) / self.head_dim
        frequencies = self.rope_embedding_base**-exponents
        if self.rope_scaling is None:
            return frequencies, 1.0
        branch = "long" if length > self.original_context else "short"
        mscale = float(self.rope_scaling.get(f"{branch}_mscale", -1))
        if mscale <= 0:
            ratio = self.max_position_embeddings / self.original_context
            is_scaled = branch == "long" and ratio > 1
            mscale = math.sqrt(1 + math.log(ratio) / math.log(self.original_context)) if is_scaled else 1.0
        return frequencies / torch.tensor(self.rope_scaling[f"{branch}_factor"], dtype=torch.float64), mscale


@dataclass
class Cache:
    """Hold keys and values per layer, `[n_tokens, kv_heads, head_dim]`, of the tokens evaluated so far."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    uses_long_factors: bool = False

    @property
    def length(self) -> int:
        """Return how many tokens are in the cache."""
        return len(self.keys[0]) if self.keys else 0

    def truncate(self, length: int) -> None:
        """Forget all tokens from position `length` on."""
        self.keys = [keys[:length] for keys in self.keys] if length else []
        self.values = [values[:length] for values in self.values] if length else []


class Phi3Small:
    """Evaluate a Phi-3-small checkpoint; weights stay in their own type, norms and softmax are float32."""

    def __init__(self, config: Phi3SmallConfig, weights: dict[str, Tensor]) -> None:
        """Keep the weights under the Hub's names."""
        self.config = config
        self.weights = weights
        self.clamped_values = 0
        self.seen_values = 0

    @classmethod
    def load(
        cls, checkpoint: Path, dtype: torch.dtype, on_file: Callable[[int, int], None] | None = None
    ) -> "Phi3Small":
        """Read config.json and the safetensors files of `checkpoint`; `on_file(done, total)` follows the progress."""
        files = sorted(checkpoint.glob("*.safetensors"))
        weights: dict[str, Tensor] = {}
        for number, path in enumerate(files):
            with safe_open(path, framework="pt") as file:
                names = [name for name in file.keys() if not name.endswith("rotary_emb.inv_freq")]  # noqa: SIM118
                weights.update({name: file.get_tensor(name).to(dtype) for name in names})
            if on_file:
                on_file(number + 1, len(files))
        return cls(Phi3SmallConfig.read(checkpoint / "config.json"), weights)

    @torch.inference_mode()
    def evaluate(self, ids: list[int], cache: Cache, keep: Tensor | None = None) -> Tensor:
        """Append `ids` to the cache and return float32 logits `[len(keep), vocab_size]`, for the last token by default.

        `keep` are positions within `ids`. The caller sees to it that a cache does not cross `original_context`: beyond
        it every position has other RoPE factors, so the sequence starts again with an empty cache.
        """
        config = self.config
        start, total = cache.length, cache.length + len(ids)
        uses_long = config.rope_scaling is not None and total > config.original_context
        if start and uses_long != cache.uses_long_factors:
            raise ValueError("the sequence crosses the line of LongRoPE; evaluate it again from its beginning")
        cache.uses_long_factors = uses_long
        if not cache.keys:
            empty = torch.empty(0, config.num_key_value_heads, config.head_dim, dtype=self._dtype)
            cache.keys = [empty] * config.num_hidden_layers
            cache.values = [empty] * config.num_hidden_layers
        rotation = self._rotation(start, total)
        stream = embedding(torch.tensor(ids), self.weights["model.embed_tokens.weight"])
        stream = stream * config.mup_embedding_multiplier
        for layer in range(config.num_hidden_layers):
            prefix = f"model.layers.{layer}."
            normed = self._norm(stream, prefix + "input_layernorm")
            stream = stream + self._attention(normed, layer, cache, rotation)
            stream = stream + self._feed_forward(self._norm(stream, prefix + "post_attention_layernorm"), prefix)
        kept = stream[-1:] if keep is None else stream[keep]
        logits = linear(self._norm(kept, "model.final_layernorm"), self.weights["model.embed_tokens.weight"]).float()
        return logits / (config.mup_width_multiplier or 1.0)

    @property
    def _dtype(self) -> torch.dtype:
        return self.weights["model.embed_tokens.weight"].dtype

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.weights[name + ".weight"], self.weights[name + ".bias"]
        normed = layer_norm(x.float(), (x.shape[-1],), weight.float(), bias.float(), self.config.layer_norm_epsilon)
        return normed.to(self._dtype)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return linear(x, self.weights[name + ".weight"], self.weights[name + ".bias"])

    def _rotation(self, start: int, total: int) -> tuple[Tensor, Tensor]:
        """Return cos and sin `[n, 1, head_dim / 2]` for positions `start` to `total`."""
        frequencies, mscale = self.config.rope(total)
        positions = torch.arange(start, total, dtype=torch.float64) * self.config.rope_position_scale
        angles = torch.outer(positions, frequencies)[:, None, :]
        return (angles.cos() * mscale).float(), (angles.sin() * mscale).float()

    def _attention(self, x: Tensor, layer: int, cache: Cache, rotation: tuple[Tensor, Tensor]) -> Tensor:
        config = self.config
        n, kv_heads = len(x), config.num_key_value_heads
        group = config.num_attention_heads // kv_heads
        name = f"model.layers.{layer}.self_attn."
        # Rows are grouped per kv head: its query heads, then its key, then its value.
        joined = self._linear(x, name + "query_key_value").view(n, kv_heads, group + 2, config.head_dim)
        queries = rotate(joined[:, :, :group].reshape(n, -1, config.head_dim), *rotation)
        cache.keys[layer] = torch.cat([cache.keys[layer], rotate(joined[:, :, group], *rotation)])
        cache.values[layer] = torch.cat([cache.values[layer], joined[:, :, group + 1]])
        start = cache.keys[layer].shape[0] - n
        chunks = [
            self._attend(queries[first : first + QUERY_CHUNK], start + first, layer, cache)
            for first in range(0, n, QUERY_CHUNK)
        ]
        return self._linear(torch.cat(chunks), name + "dense")

    def _attend(self, queries: Tensor, start: int, layer: int, cache: Cache) -> Tensor:
        """Attend from `queries` `[n, heads, head_dim]` at positions from `start` on; return `[n, hidden_size]`."""
        config = self.config
        n, end = len(queries), start + len(queries)
        group = config.num_attention_heads // config.num_key_value_heads
        keys = cache.keys[layer][:end].repeat_interleave(group, 1).permute(1, 2, 0)
        values = cache.values[layer][:end].repeat_interleave(group, 1).transpose(0, 1)
        scores = (queries.transpose(0, 1) @ keys).float() * config.attention_scale
        scores.masked_fill_(~self._visible(start, end, layer), -torch.inf)
        return (scores.softmax(-1).to(values.dtype) @ values).transpose(0, 1).reshape(n, -1)

    def _visible(self, start: int, end: int, layer: int) -> Tensor:
        """Return which keys `0..end` the queries `start..end` see, `[heads or 1, n, end]`.

        A sparse layer shows a query the 16 blocks up to its own and, per head, every eighth block counted from the
        start of the sequence; blocks are 64 tokens.
        """
        config = self.config
        query, key = torch.arange(start, end)[:, None], torch.arange(end)[None, :]
        causal = (key <= query)[None]
        if config.is_dense(layer):
            return causal
        stride, block = config.blocksparse_vert_stride, config.blocksparse_block_size
        step = 0 if config.blocksparse_homo_head_pattern else max(1, stride // config.num_attention_heads)
        heads = torch.arange(config.num_attention_heads)[:, None, None]
        local = (query // block - key // block < config.blocksparse_num_local_blocks)[None]
        vertical = (key[None] // block + heads * step + 1) % stride == 0
        return causal & (local | vertical)

    def _feed_forward(self, x: Tensor, prefix: str) -> Tensor:
        """Apply the GEGLU whose gate and linear columns alternate, clamped at `gegelu_limit`."""
        up = self._linear(x, prefix + "mlp.up_proj")
        gate, value = up[..., 0::2], up[..., 1::2]
        limit = self.config.gegelu_limit
        if limit is not None:
            self.clamped_values += int((gate > limit).sum() + (value.abs() > limit).sum())
            self.seen_values += up.numel()
            gate, value = gate.clamp(max=limit), value.clamp(-limit, limit)
        return self._linear(gate * torch.sigmoid(QUICK_GELU * gate) * (value + 1), prefix + "mlp.down_proj")


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply RoPE to `[n, heads, head_dim]` in half-split pairs."""
    first, second = x.float().chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)


def chunks(ids: list[int], size: int) -> Iterator[list[int]]:
    """Split ids into pieces of at most `size`, so that a long prompt can be cancelled between them."""
    for first in range(0, len(ids), size):
        yield ids[first : first + size]
