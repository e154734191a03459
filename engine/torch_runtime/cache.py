"""Keep the keys and values of a conversation in tensors that grow with it."""

from __future__ import annotations

from torch import Tensor


class Cache:
    """Hold keys and values of the first `length` tokens, one `[kv_heads, capacity, head_dim]` tensor a layer each.

    Attributes:
        length: how many tokens are held; what lies behind them has no meaning.
        uses_long_factors: whether the keys were turned by LongRoPE's long factors.
    """

    def __init__(self) -> None:
        """Start empty and without memory."""
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self.length = 0
        self.uses_long_factors = False

    @property
    def capacity(self) -> int:
        """Return for how many tokens there is memory."""
        return min((tensor.shape[1] for tensor in [*self._keys, *self._values]), default=0)

    def reserve(self, capacity: int, layers: int, like: Tensor) -> None:
        """Make room for `capacity` tokens shaped and placed as `like` `[kv_heads, any, head_dim]`; raises RuntimeError.

        Layers grow one after another, so that only one of them is in memory twice; what is held stays in any case.
        """
        for tensors in (self._keys, self._values):
            tensors.extend(like.new_empty(like.shape[0], 0, like.shape[2]) for _ in range(layers - len(tensors)))
            for layer, old in enumerate(tensors):
                if old.shape[1] < capacity:
                    new = old.new_empty(old.shape[0], capacity, old.shape[2])
                    new[:, : self.length] = old[:, : self.length]
                    tensors[layer] = new

    def put(self, layer: int, start: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write `[n, kv_heads, head_dim]` from position `start` on; return all to there, `[kv_heads, end, head_dim]`.

        `length` does not change until the caller has done all layers.
        """
        end = start + len(keys)
        self._keys[layer][:, start:end] = keys.transpose(0, 1)
        self._values[layer][:, start:end] = values.transpose(0, 1)
        return self._keys[layer][:, :end], self._values[layer][:, :end]

    def truncate(self, length: int) -> None:
        """Forget all tokens from position `length` on."""
        self.length = min(self.length, length)
