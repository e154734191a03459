"""Run Phi-3-small exactly in PyTorch: block-sparse attention, clamped GEGLU, muP scales, LongRoPE.

Nothing else computes this model to the letter: llama.cpp has no graph for it, and the one it can be folded into knows
neither the clamps nor the sparse mask. Written from the published configuration and the Phi-3 report, arXiv 2404.14219.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor
from torch.nn.functional import embedding, layer_norm, linear, scaled_dot_product_attention

from engine.torch_runtime.cache import Cache
from engine.torch_runtime.phi3small_config import Phi3SmallConfig

QUERY_CHUNK = 256
# Masks of the sparse layers differ by head, so long sequences are attended to by fewer queries at a time.
MASK_VALUES = 1 << 24
QUICK_GELU = 1.702


class Phi3Small:
    """Evaluate Phi-3-small; weights stay in their own type, the residual stream and norms are at least float32.

    Attributes:
        before_product: called before every large matrix product; what it raises ends an evaluation without a trace.
        counts_clamps: whether `clamped_values` of `seen_values` are counted, which costs time.
    """

    def __init__(self, config: Phi3SmallConfig, weights: dict[str, Tensor], *, counts_clamps: bool = False) -> None:
        """Keep the weights under the Hub's names; biases of norms and a head of its own may be missing."""
        self.config = config
        self.weights = weights
        self.before_product: Callable[[], None] = lambda: None
        self.counts_clamps = counts_clamps
        self.clamped_values = 0
        self.seen_values = 0
        self._masks: dict[bool, tuple[tuple[int, int], Tensor]] = {}

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
        return cls(Phi3SmallConfig.read(checkpoint / "config.json"), weights, counts_clamps=True)

    @torch.inference_mode()
    def evaluate(self, ids: list[int], cache: Cache, keep: Tensor | None = None, length: int = 0) -> Tensor:
        """Append `ids` to the cache and return float32 logits `[len(keep), vocab_size]`, for the last token by default.

        `keep` are positions within `ids`; `length` is that of the whole sequence where more of it follows. The caller
        sees to it that a cache does not cross `original_context`: beyond it every position has other RoPE factors, so
        the sequence starts again with an empty cache.
        """
        config = self.config
        start, total = cache.length, cache.length + len(ids)
        uses_long = config.is_long(max(length, total))
        if start and uses_long != cache.uses_long_factors:
            raise ValueError("the sequence crosses the line of LongRoPE; evaluate it again from its beginning")
        if total > cache.capacity:
            self.reserve(cache, total)
        rotation = self._rotation(start, total, *config.rope(max(length, total)))
        table = self.weights["model.embed_tokens.weight"]
        stream = embedding(torch.tensor(ids, device=table.device), table).to(self._wide_dtype)
        stream = stream * config.mup_embedding_multiplier
        for layer in range(config.num_hidden_layers):
            prefix = f"model.layers.{layer}."
            normed = self._norm(stream, prefix + "input_layernorm")
            stream = stream + self._attention(normed, layer, start, cache, rotation)
            stream = stream + self._feed_forward(self._norm(stream, prefix + "post_attention_layernorm"), prefix)
        cache.length, cache.uses_long_factors = total, uses_long
        return self._head(stream[-1:] if keep is None else stream[keep])

    def reserve(self, cache: Cache, capacity: int) -> None:
        """Make room in the cache for `capacity` tokens; raises RuntimeError where memory lacks."""
        shape = (self.config.num_key_value_heads, 0, self.config.head_dim)
        cache.reserve(capacity, self.config.num_hidden_layers, self._queries_weight.new_empty(shape))

    @property
    def _queries_weight(self) -> Tensor:
        return self.weights["model.layers.0.self_attn.query_key_value.weight"]

    @property
    def _dtype(self) -> torch.dtype:
        return self._queries_weight.dtype

    @property
    def _wide_dtype(self) -> torch.dtype:
        return torch.promote_types(self._dtype, torch.float32)

    def _head(self, stream: Tensor) -> Tensor:
        weight = self.weights.get("lm_head.weight", self.weights["model.embed_tokens.weight"])
        normed = self._norm(stream, "model.final_layernorm").to(weight.dtype)
        self.before_product()
        return linear(normed, weight).float() / (self.config.mup_width_multiplier or 1.0)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        """Normalise to at least float32."""
        bias = self.weights.get(name + ".bias")
        bias = None if bias is None else bias.to(x.dtype)
        return layer_norm(
            x, (x.shape[-1],), self.weights[name + ".weight"].to(x.dtype), bias, self.config.layer_norm_epsilon
        )

    def _linear(self, x: Tensor, name: str) -> Tensor:
        self.before_product()
        return linear(x.to(self._dtype), self.weights[name + ".weight"], self.weights[name + ".bias"])

    def _rotation(
        self, start: int, total: int, frequencies: NDArray[np.float64], mscale: float
    ) -> tuple[Tensor, Tensor]:
        """Return cos and sin `[n, 1, head_dim / 2]` for positions `start` to `total`."""
        positions = torch.arange(start, total, dtype=torch.float64) * self.config.rope_position_scale
        angles = torch.outer(positions, torch.from_numpy(frequencies))[:, None, :]
        device = self._queries_weight.device
        return (angles.cos() * mscale).float().to(device), (angles.sin() * mscale).float().to(device)

    def _attention(self, x: Tensor, layer: int, start: int, cache: Cache, rotation: tuple[Tensor, Tensor]) -> Tensor:
        config = self.config
        n, kv_heads = len(x), config.num_key_value_heads
        group = config.num_attention_heads // kv_heads
        name = f"model.layers.{layer}.self_attn."
        # Rows are grouped per kv head: its query heads, then its key, then its value.
        joined = self._linear(x, name + "query_key_value").view(n, kv_heads, group + 2, config.head_dim)
        queries = rotate(joined[:, :, :group].reshape(n, -1, config.head_dim), *rotation)
        keys, values = cache.put(layer, start, rotate(joined[:, :, group], *rotation), joined[:, :, group + 1])
        step = max(1, min(QUERY_CHUNK, MASK_VALUES // (config.num_attention_heads * (start + n))))
        chunks = [
            self._attend(queries[first : first + step], start + first, layer, keys, values)
            for first in range(0, n, step)
        ]
        return self._linear(torch.cat(chunks), name + "dense")

    def _attend(self, queries: Tensor, start: int, layer: int, keys: Tensor, values: Tensor) -> Tensor:
        """Attend from `queries` `[n, heads, head_dim]` at positions from `start` on; return `[n, hidden_size]`."""
        n, end = len(queries), start + len(queries)
        # The query heads of a group become more queries of its kv head: no key needs to be repeated for them.
        grouped = queries.view(n, len(keys), -1, self.config.head_dim).permute(1, 2, 0, 3)
        mask = self._visible(start, end, layer).expand(self.config.num_attention_heads, n, end)
        attended = scaled_dot_product_attention(
            grouped.reshape(1, len(keys), -1, self.config.head_dim),
            keys[None, :, :end],
            values[None, :, :end],
            attn_mask=mask.reshape(1, len(keys), -1, end),
            scale=self.config.attention_scale,
        )
        return attended.view(len(keys), -1, n, self.config.head_dim).permute(2, 0, 1, 3).reshape(n, -1)

    def _visible(self, start: int, end: int, layer: int) -> Tensor:
        """Return which keys `0..end` the queries `start..end` see, `[heads or 1, n, end]`; layers share it."""
        is_dense = self.config.is_dense(layer)
        place, mask = self._masks.get(is_dense, (None, None))
        if place != (start, end) or mask is None:
            mask = self._mask(start, end, is_dense)
            self._masks[is_dense] = (start, end), mask
        return mask

    def _mask(self, start: int, end: int, is_dense: bool) -> Tensor:
        """Compute a mask; blocks are 64 tokens.

        A sparse layer shows a query the 16 blocks up to its own and, per head, every eighth block counted from the
        start of the sequence.
        """
        config, device = self.config, self._queries_weight.device
        query, key = torch.arange(start, end, device=device)[:, None], torch.arange(end, device=device)[None, :]
        causal = (key <= query)[None]
        if is_dense:
            return causal
        stride, block = config.blocksparse_vert_stride, config.blocksparse_block_size
        heads = torch.arange(config.num_attention_heads, device=device)[:, None, None]
        local = (query // block - key // block < config.blocksparse_num_local_blocks)[None]
        vertical = (key[None] // block + heads * config.head_step + 1) % stride == 0
        return causal & (local | vertical)

    def _feed_forward(self, x: Tensor, prefix: str) -> Tensor:
        """Apply the GEGLU whose gate and linear columns alternate, clamped at `gegelu_limit`."""
        up = self._linear(x, prefix + "mlp.up_proj").to(self._wide_dtype)
        gate, value = up[..., 0::2], up[..., 1::2]
        limit = self.config.gegelu_limit
        if limit is not None:
            if self.counts_clamps:
                self.clamped_values += int((gate > limit).sum() + (value.abs() > limit).sum())
                self.seen_values += up.numel()
            gate, value = gate.clamp(max=limit), value.clamp(-limit, limit)
        return self._linear(gate * torch.sigmoid(QUICK_GELU * gate) * (value + 1), prefix + "mlp.down_proj")


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply RoPE to `[n, heads, head_dim]` in half-split pairs."""
    first, second = x.float().chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)
