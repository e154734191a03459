"""Know how much of a GPU's memory each layer of a model needs, from the header of its file alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converter.gguf_file import GGUFHeader

_LAYER = re.compile(r"blk\.(\d+)\.")
_ALL_F32 = 0
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """Hold what is needed to tell how many layers fit into a memory; all sizes in bytes.

    Attributes:
        layers: the weights of each layer.
        output: the weights of the output, which llama.cpp counts as one more layer.
        cache_per_token: keys and values of one token in each layer.
        activations_per_token: the graph's largest tensors for one token of a batch.
        scores_per_cell: attention scores of one token of a batch for one token of the conversation.
        largest: the largest tensor, which is copied to the GPU for long prompts where it stays outside.
    """

    layers: tuple[int, ...]
    output: int
    cache_per_token: tuple[int, ...]
    activations_per_token: int
    scores_per_cell: int
    largest: int

    @classmethod
    def of(cls, header: GGUFHeader) -> LayerSizes:
        """Read the sizes from a header."""

        def setting(name: str, default: int = 0) -> int:
            return int(header.number(f"{header.architecture}.{name}", default))

        count, embedding = max(0, setting("block_count")), setting("embedding_length")
        layers = [0] * count
        for name, tensor in header.tensors.items():
            match = _LAYER.match(name)
            if match and int(match[1]) < count:
                layers[int(match[1])] += tensor.nbytes
        # A model whose output is its token embedding gets a copy of that on the GPU.
        tables = [header.tensors[name] for name in ("output.weight", "token_embd.weight") if name in header.tensors]
        heads = max(1, setting("attention.head_count", 1))
        bytes_per_number = _FLOAT_BYTES if header.number("general.file_type", -1) == _ALL_F32 else 2
        width = 2 * bytes_per_number * setting("attention.key_length", embedding // heads)
        vocabulary = tables[0].n_rows if tables else 0
        return cls(
            layers=tuple(layers),
            output=tables[0].nbytes if tables else 0,
            cache_per_token=tuple(width * number for number in _heads_kv(header, count, heads)),
            activations_per_token=_FLOAT_BYTES * (vocabulary + 4 * embedding + 3 * _feed_forward(header)),
            # Flash attention, which is off where the weights are kept in 32 bits, needs the mask alone.
            scores_per_cell=_FLOAT_BYTES * (heads if bytes_per_number == _FLOAT_BYTES else 1),
            largest=max((tensor.nbytes for tensor in header.tensors.values()), default=0),
        )

    @property
    def every(self) -> int:
        """Give the number of layers with the output."""
        return len(self.layers) + 1

    def weights(self, count: int) -> int:
        """Give the weights of the last `count` layers, of which the output is the first that goes to a GPU."""
        return self.output + sum(_last(self.layers, count - 1)) if count > 0 else 0

    def needed(self, count: int, cells: int, batch: int) -> int:
        """Give the memory that the last `count` layers need for conversations of `cells` tokens, read in batches."""
        if count <= 0:
            return 0
        cache = cells * sum(_last(self.cache_per_token, count - 1))
        staged = self.largest if count < self.every else 0
        return self.weights(count) + cache + staged + self.buffers(cells, batch)

    def buffers(self, cells: int, batch: int) -> int:
        """Give the memory for computing a batch."""
        return batch * (self.activations_per_token + self.scores_per_cell * cells)


def _last(sizes: Sequence[int], count: int) -> Sequence[int]:
    return sizes[-count:] if count > 0 else ()


def _heads_kv(header: GGUFHeader, layers: int, heads: int) -> list[int]:
    """Give the heads of keys and values of each layer; some models list them."""
    value = header.get(f"{header.architecture}.attention.head_count_kv")
    if isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.integer) and len(value) == layers:
        return [int(number) for number in value]
    return [int(header.number(f"{header.architecture}.attention.head_count_kv", heads))] * layers


def _feed_forward(header: GGUFHeader) -> int:
    """Give the width of the feed-forward layer, or of all experts that a token goes through."""
    width = int(header.number(f"{header.architecture}.feed_forward_length"))
    return width * max(1, int(header.number(f"{header.architecture}.expert_used_count", 1)))
