"""Express decoders in llama.cpp's granite_swa layout, the Llama-like graph that masks with a sliding window exactly.

llama.cpp's own phi3 graph ignores the window. Query and key rows are interleaved here, and every layer has an attention
sink that is turned off.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from converter.configuration import DecoderSize, Rope
from converter.gguf_file import MetadataType
from converter.gguf_writer import float32, numbers, string, uint32
from converter.head_rows import interleaved
from converter.lazy_tensors import ArrayRows, RowSource, slice_rows
from converter.metadata import Metadata
from converter.model_plan import decoder_metadata

ARCHITECTURE = "granite_swa"
# llama.cpp's quantize takes minus infinity for damage.
NO_SINK = -1e30
# Which tensor of a phi3 layer each tensor of a granite_swa layer is cut from.
PHI3_SOURCES = {
    "attn_q": "attn_qkv",
    "attn_k": "attn_qkv",
    "attn_v": "attn_qkv",
    "ffn_gate": "ffn_up",
    "ffn_up": "ffn_up",
}


def swa_metadata(sizes: DecoderSize, epsilon: float, rope: Rope, window: int, windowed: Sequence[bool]) -> Metadata:
    """Describe a decoder whose layers marked in `windowed` see `window` tokens, the newest included."""
    metadata = decoder_metadata(ARCHITECTURE, sizes, epsilon, rope) | window_metadata(window, windowed)
    if rope.long_factors is not None:
        metadata[f"{ARCHITECTURE}.rope.scaling.type"] = string("longrope")
    return metadata


def window_metadata(window: int, windowed: Sequence[bool], logit_scale: float = 1.0) -> Metadata:
    """Describe the sliding window; llama.cpp aborts where no layer has one."""
    assert any(windowed)
    return {
        f"{ARCHITECTURE}.attention.sliding_window": uint32(window),
        f"{ARCHITECTURE}.attention.sliding_window_pattern": numbers(windowed, MetadataType.BOOL),
        f"{ARCHITECTURE}.logit_scale": float32(logit_scale),
    }


def no_sinks(n_heads: int) -> RowSource:
    """Return attention sinks that take nothing: their share is exp(NO_SINK), which is zero."""
    return ArrayRows(np.full(n_heads, NO_SINK, np.float32))


def from_phi3(tensors: Mapping[str, RowSource], n_heads: int, n_kv_heads: int) -> dict[str, RowSource]:
    """Cut the fused tensors of phi3 layers into those of granite_swa; only whole rows move."""
    layers: dict[str, RowSource] = {}
    for name, source in tensors.items():
        prefix, _, kind = name.removesuffix(".weight").rpartition(".")
        if kind == "attn_qkv":
            layers |= {
                f"{prefix}.{part}.weight": rows for part, rows in _attention(source, n_heads, n_kv_heads).items()
            }
            layers[f"{prefix}.attn_sinks.weight"] = no_sinks(n_heads)
        elif kind == "ffn_up":
            half = source.shape[0] // 2
            layers[f"{prefix}.ffn_gate.weight"] = slice_rows(source, 0, half)
            layers[name] = slice_rows(source, half, 2 * half)
        else:
            layers[name] = source
    return layers


def _attention(source: RowSource, n_heads: int, n_kv_heads: int) -> dict[str, RowSource]:
    head = source.shape[0] // (n_heads + 2 * n_kv_heads)
    keys, values = n_heads * head, (n_heads + n_kv_heads) * head
    return {
        "attn_q": interleaved(slice_rows(source, 0, keys), n_heads),
        "attn_k": interleaved(slice_rows(source, keys, values), n_kv_heads),
        "attn_v": slice_rows(source, values, source.shape[0]),
    }
