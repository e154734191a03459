"""Plan the conversion of Phi-3-small (`model_type` phi3small) to llama.cpp's granite_swa, which can hold nearly all.

LayerNorm becomes RMSNorm (layer_norm.py). The quick GELU is a SiLU, a * sigmoid(1.702 a) = silu(1.702 a) / 1.702, so
the gate's rows grow by 1.702 and the down projection shrinks; the `+ 1` of the linear branch goes into its bias. muP's
factors are the file's `embedding_scale`, `attention.scale` and `logit_scale`. The last norm's bias adds the same to the
logits of every position; the file's metadata tells it to the sampler, with the tokens that must not be sampled.

What cannot be held: the clamps of the activation at 20, and the block-sparse attention beyond its local blocks. Layers
with it get a sliding window of the same length, which is nearer than seeing everything. The file's metadata says what
they are, so that a runtime of our own can undo the folding and compute exactly.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from converter.checkpoint import Checkpoint
from converter.configuration import (
    Config,
    DecoderSize,
    decoder_size,
    number,
    optional_size,
    read_rope,
    size,
    with_mscales,
    wrong,
)
from converter.gguf_file import MetadataType
from converter.gguf_writer import boolean, float32, numbers, uint32
from converter.granite_swa import ARCHITECTURE, no_sinks, swa_metadata
from converter.head_rows import interleaved_of_halves
from converter.layer_norm import CentredColumns, FoldedBias, Vector, centred_rows
from converter.lazy_tensors import MappedRows, Rows, RowSource, SelectedRows, rows_per_chunk
from converter.metadata import (
    BLOCK_SIZE_KEY,
    DENSE_LAYERS_KEY,
    FAITHFUL_CONTEXT_KEY,
    GEGELU_LIMIT_KEY,
    HOMO_HEAD_PATTERN_KEY,
    LOCAL_BLOCKS_KEY,
    LOGIT_BIAS_KEY,
    MASKED_TOKENS_KEY,
    VERTICAL_STRIDE_KEY,
    Metadata,
)
from converter.model_plan import ModelPlan, model_shape, rope_tensors
from converter.tiktoken_vocab import masked_tokens

QUICK_GELU = 1.702
Tensors = dict[str, RowSource]


def plan(checkpoint: Checkpoint) -> ModelPlan:
    """Plan the file of a checkpoint."""
    config = checkpoint.config
    sizes = decoder_size(config, "ff_intermediate_size")
    if config.get("hidden_act", "gegelu") != "gegelu":
        raise wrong("hidden_act", config["hidden_act"], "gegelu")
    if number(config, "rope_position_scale", 1.0) != 1.0:
        raise wrong("rope_position_scale", config["rope_position_scale"], "1.0")
    embedding = checkpoint.tensor("model.embed_tokens.weight", (sizes.vocabulary, sizes.embedding))
    tied = config.get("tie_word_embeddings") is not False
    output = embedding if tied else checkpoint.tensor("lm_head.weight", (sizes.vocabulary, sizes.embedding))
    rope = with_mscales(read_rope(config, sizes, number(config, "rope_embedding_base", 1e6)), config, 1.0)
    windowed, window = _window(config, sizes)
    metadata = swa_metadata(sizes, number(config, "layer_norm_epsilon", 1e-5), rope, window, windowed)
    metadata |= _scales(config, sizes) | _exact_arithmetic(config)
    if window < sizes.context:
        metadata[FAITHFUL_CONTEXT_KEY] = uint32(window)
    tensors: Tensors = {
        "token_embd.weight": centred_rows(embedding),
        "output.weight": output,
        "output_norm.weight": checkpoint.tensor("model.final_layernorm.weight", (sizes.embedding,)),
    }
    for layer in range(sizes.n_layers):
        parts = _attention(checkpoint, sizes, layer) | _feed_forward(checkpoint, sizes, layer)
        tensors |= {f"blk.{layer}.{name}": source for name, source in parts.items()}
    tensors |= rope_tensors(rope)
    return ModelPlan(
        architecture=ARCHITECTURE,
        metadata=metadata,
        tensors=tensors,
        shape=model_shape(sizes),
        vocabulary_size=sizes.vocabulary,
        warnings=_warnings(config, window, sizes),
        late_metadata=partial(_sampling, checkpoint, sizes, output),
    )


def _warnings(config: Config, window: int, sizes: DecoderSize) -> tuple[str, ...]:
    found = []
    if window < sizes.context:
        found.append(f"Answers are approximate beyond {window} tokens, where the attention becomes block-sparse.")
    if config.get("gegelu_limit") is not None:
        found.append(f"Activations above {config['gegelu_limit']:g} are not clamped as in the reference.")
    return tuple(found)


def _window(config: Config, sizes: DecoderSize) -> tuple[list[bool], int]:
    """Return which layers are block-sparse and how many tokens their local blocks hold."""
    every = optional_size(config, "dense_attention_every_n_layers")
    sparse = [every is None or (layer + 1) % every != 0 for layer in range(sizes.n_layers)]
    if any(sparse):
        return sparse, _block_size(config) * _local_blocks(config)
    # llama.cpp wants one layer with a window; one as long as the context hides nothing.
    return [layer == 0 for layer in range(sizes.n_layers)], sizes.context


def _block_size(config: Config) -> int:
    return size(config, "blocksparse_block_size", 64)


def _local_blocks(config: Config) -> int:
    return size(config, "blocksparse_num_local_blocks", 16)


def _exact_arithmetic(config: Config) -> Metadata:
    """Say what the file's graph leaves out."""
    metadata = {
        BLOCK_SIZE_KEY: uint32(_block_size(config)),
        LOCAL_BLOCKS_KEY: uint32(_local_blocks(config)),
        VERTICAL_STRIDE_KEY: uint32(size(config, "blocksparse_vert_stride", 8)),
        HOMO_HEAD_PATTERN_KEY: boolean(config.get("blocksparse_homo_head_pattern") is True),
        DENSE_LAYERS_KEY: uint32(optional_size(config, "dense_attention_every_n_layers") or 0),
    }
    if config.get("gegelu_limit") is not None:
        metadata[GEGELU_LIMIT_KEY] = float32(number(config, "gegelu_limit", 20.0))
    return metadata


def _width_multiplier(config: Config) -> float:
    return number(config, "mup_width_multiplier", 1.0)


def _scales(config: Config, sizes: DecoderSize) -> Metadata:
    scaled = config.get("mup_use_scaling", True)
    attention = number(config, "mup_attn_multiplier", 1.0) / sizes.head if scaled else sizes.head**-0.5
    return {
        f"{ARCHITECTURE}.embedding_scale": float32(number(config, "mup_embedding_multiplier", 10.0)),
        f"{ARCHITECTURE}.attention.scale": float32(attention),
        f"{ARCHITECTURE}.logit_scale": float32(_width_multiplier(config)),
    }


def _sampling(checkpoint: Checkpoint, sizes: DecoderSize, output: RowSource) -> Metadata:
    """Compute the constant logit bias and name the tokens that are never to be sampled."""
    config = checkpoint.config
    norm_bias = checkpoint.tensor("model.final_layernorm.bias", (sizes.embedding,)).rows(0, 1)[0].astype(np.float64)
    step = rows_per_chunk(sizes.embedding)
    starts = range(0, sizes.vocabulary, step)
    parts = [output.rows(start, min(start + step, sizes.vocabulary)) @ norm_bias for start in starts]
    bias = np.concatenate(parts) / _width_multiplier(config)
    masked = config.get("dummy_token_indices") or masked_tokens(sizes.vocabulary)
    return {
        LOGIT_BIAS_KEY: numbers(bias.tolist(), MetadataType.FLOAT32),
        MASKED_TOKENS_KEY: numbers([token for token in masked if 0 <= token < sizes.vocabulary], MetadataType.INT32),
    }


def _attention(checkpoint: Checkpoint, sizes: DecoderSize, layer: int) -> Tensors:
    prefix = f"model.layers.{layer}"
    n_rows = sizes.query + 2 * sizes.key_value
    weight = checkpoint.tensor(f"{prefix}.self_attn.query_key_value.weight", (n_rows, sizes.embedding))
    bias = FoldedBias(
        weight,
        checkpoint.tensor(f"{prefix}.self_attn.query_key_value.bias", (n_rows,)),
        checkpoint.tensor(f"{prefix}.input_layernorm.bias", (sizes.embedding,)),
    )
    tensors: Tensors = {
        "attn_norm.weight": checkpoint.tensor(f"{prefix}.input_layernorm.weight", (sizes.embedding,)),
        "attn_sinks.weight": no_sinks(sizes.n_heads),
    }
    for part, order in head_rows(sizes).items():
        tensors[f"attn_{part}.weight"] = SelectedRows(weight, order)
        tensors[f"attn_{part}.bias"] = Vector(SelectedRows(bias, order))
    dense = checkpoint.tensor(f"{prefix}.self_attn.dense.weight", (sizes.embedding, sizes.query))
    tensors["attn_output.weight"] = CentredColumns(dense)
    dense_bias = checkpoint.tensor(f"{prefix}.self_attn.dense.bias", (sizes.embedding,))
    tensors["attn_output.bias"] = centred_rows(dense_bias)
    return tensors


def head_rows(sizes: DecoderSize) -> dict[str, NDArray[np.int64]]:
    """Return which fused rows those of q, k and v are: the query heads of a group come before its key and value."""
    group = sizes.n_heads // sizes.n_kv_heads
    rows = np.arange(sizes.query + 2 * sizes.key_value).reshape(sizes.n_kv_heads, group + 2, sizes.head)
    query, key, value = (part.reshape(-1) for part in (rows[:, :group], rows[:, group], rows[:, group + 1]))
    return {
        "q": query[interleaved_of_halves(sizes.n_heads, sizes.query)],
        "k": key[interleaved_of_halves(sizes.n_kv_heads, sizes.key_value)],
        "v": value,
    }


def gate_rows(width: int) -> NDArray[np.int64]:
    """Return which rows of the fused projection are the gate's: gate and linear rows alternate."""
    return np.arange(0, 2 * width, 2)


def linear_rows(width: int) -> NDArray[np.int64]:
    """Return which rows of the fused projection are the linear branch's."""
    return np.arange(1, 2 * width, 2)


def _feed_forward(checkpoint: Checkpoint, sizes: DecoderSize, layer: int) -> Tensors:
    prefix = f"model.layers.{layer}"
    width = sizes.feed_forward
    weight = checkpoint.tensor(f"{prefix}.mlp.up_proj.weight", (2 * width, sizes.embedding))
    bias = FoldedBias(
        weight,
        checkpoint.tensor(f"{prefix}.mlp.up_proj.bias", (2 * width,)),
        checkpoint.tensor(f"{prefix}.post_attention_layernorm.bias", (sizes.embedding,)),
    )
    gate, linear = gate_rows(width), linear_rows(width)
    grow = partial(_scaled, factor=QUICK_GELU)
    down = checkpoint.tensor(f"{prefix}.mlp.down_proj.weight", (sizes.embedding, width))
    return {
        "ffn_norm.weight": checkpoint.tensor(f"{prefix}.post_attention_layernorm.weight", (sizes.embedding,)),
        "ffn_gate.weight": MappedRows(SelectedRows(weight, gate), grow),
        "ffn_gate.bias": Vector(MappedRows(SelectedRows(bias, gate), grow)),
        "ffn_up.weight": SelectedRows(weight, linear),
        "ffn_up.bias": Vector(MappedRows(SelectedRows(bias, linear), lambda rows: rows + 1)),
        "ffn_down.weight": CentredColumns(down, 1 / QUICK_GELU),
        "ffn_down.bias": centred_rows(checkpoint.tensor(f"{prefix}.mlp.down_proj.bias", (sizes.embedding,))),
    }


def _scaled(rows: Rows, factor: float) -> Rows:
    return rows * np.float32(factor)
