"""Plan the conversion of Phi-3.5-MoE (`model_type` phimoe) so that llama.cpp's phimoe graph computes the reference.

The graph differs from the model in three ways, all cured in the weights: it has RMSNorm where the model has LayerNorm
(see layer_norm.py); it takes one scale of LongRoPE where the model has its own; and it makes the weights of the two
chosen experts add up to one, where SparseMixer (https://arxiv.org/abs/2409.12136) gives each about one. A router that
barely speaks makes both weights one half, and down projections twice as large make up for it.

What is left are tokens whose second expert comes within two percent of the first, or the third of the second: there
SparseMixer gives less than one. A runtime that wants these right too reads the scores of the experts while the graph
runs (`ffn_moe_logits`, scaled by `phidelity.router.score_scale`), and replaces the weights (`ffn_moe_weights_norm`,
`phidelity.router.weight_scale` standing for one).
"""

from converter.checkpoint import Checkpoint
from converter.configuration import (
    DecoderSize,
    decoder_size,
    number,
    optional_size,
    read_rope,
    size,
    with_mscales,
    wrong,
)
from converter.gguf_writer import boolean, float32, uint32
from converter.layer_norm import CentredColumns, centred_rows
from converter.lazy_tensors import JoinedRows, MappedRows, RowSource, slice_rows, zeros
from converter.metadata import (
    CENTRED_KEY,
    FAITHFUL_CONTEXT_KEY,
    ROUTER_JITTER_KEY,
    ROUTER_SCORE_SCALE_KEY,
    ROUTER_WEIGHT_SCALE_KEY,
    Metadata,
)
from converter.model_plan import ModelPlan, decoder_metadata, model_shape, rope_tensors

ARCHITECTURE = "phimoe"
# Powers of two change no digit. A smaller scale would let close scores fall together, a larger one spread the weights.
ROUTER_SCALE = 2.0**-11
EXPERT_SCALE = 2.0
EXPERTS_PER_TOKEN = 2
DEFAULT_THETA = 1e6
DEFAULT_JITTER = 0.01

Tensors = dict[str, RowSource]


def plan(checkpoint: Checkpoint) -> ModelPlan:
    """Plan the file of a checkpoint in the layout of the Hub or of transformers 5."""
    config = checkpoint.config
    sizes = decoder_size(config)
    n_experts = size(config, "num_local_experts")
    if size(config, "num_experts_per_tok", EXPERTS_PER_TOKEN) != EXPERTS_PER_TOKEN:
        raise wrong("num_experts_per_tok", config["num_experts_per_tok"], str(EXPERTS_PER_TOKEN))
    if config.get("hidden_act", "silu") != "silu":
        raise wrong("hidden_act", config["hidden_act"], "silu")
    rope = with_mscales(read_rope(config, sizes, DEFAULT_THETA), config)
    metadata = decoder_metadata(ARCHITECTURE, sizes, number(config, "rms_norm_eps", 1e-5), rope) | {
        f"{ARCHITECTURE}.expert_count": uint32(n_experts),
        f"{ARCHITECTURE}.expert_used_count": uint32(EXPERTS_PER_TOKEN),
        CENTRED_KEY: boolean(True),
    }
    metadata |= router_metadata(number(config, "router_jitter_noise", DEFAULT_JITTER))
    warnings: tuple[str, ...] = ()
    window = optional_size(config, "sliding_window")
    if window is not None and window < sizes.context:
        metadata[FAITHFUL_CONTEXT_KEY] = uint32(window)
        warnings = (f"Answers are approximate beyond {window} tokens, the sliding window of this model.",)
    tensors = _outer_tensors(checkpoint, sizes)
    for layer in range(sizes.n_layers):
        parts = _attention(checkpoint, sizes, layer) | _experts(checkpoint, sizes, layer, n_experts)
        tensors |= {f"blk.{layer}.{name}": source for name, source in parts.items()}
    tensors |= rope_tensors(rope)
    return ModelPlan(ARCHITECTURE, metadata, tensors, model_shape(sizes, n_experts), sizes.vocabulary, warnings)


def router_metadata(jitter: float) -> Metadata:
    """Tell a runtime how the scaled router and experts stand to SparseMixer's."""
    return {
        ROUTER_JITTER_KEY: float32(jitter),
        ROUTER_SCORE_SCALE_KEY: float32(ROUTER_SCALE),
        ROUTER_WEIGHT_SCALE_KEY: float32(1 / EXPERT_SCALE),
    }


def _outer_tensors(checkpoint: Checkpoint, sizes: DecoderSize) -> Tensors:
    shape = (sizes.vocabulary, sizes.embedding)
    embedding = checkpoint.tensor("model.embed_tokens.weight", shape)
    tied = checkpoint.config.get("tie_word_embeddings") is True
    # A tied output matrix is not centred: it does not write to the stream.
    output = embedding if tied else checkpoint.tensor("lm_head.weight", shape)
    return {
        "token_embd.weight": centred_rows(embedding),
        "output.weight": output,
        "output.bias": _bias(checkpoint, "lm_head.bias", sizes.vocabulary),
        "output_norm.weight": checkpoint.tensor("model.norm.weight", (sizes.embedding,)),
        "output_norm.bias": checkpoint.tensor("model.norm.bias", (sizes.embedding,)),
    }


def _attention(checkpoint: Checkpoint, sizes: DecoderSize, layer: int) -> Tensors:
    prefix = f"model.layers.{layer}"
    tensors: Tensors = {}
    for norm, name in (("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")):
        for kind in ("weight", "bias"):
            tensors[f"{norm}.{kind}"] = checkpoint.tensor(f"{prefix}.{name}.{kind}", (sizes.embedding,))
    for part, rows in (("q", sizes.query), ("k", sizes.key_value), ("v", sizes.key_value)):
        name = f"{prefix}.self_attn.{part}_proj"
        tensors[f"attn_{part}.weight"] = checkpoint.tensor(f"{name}.weight", (rows, sizes.embedding))
        if f"{name}.bias" in checkpoint:
            tensors[f"attn_{part}.bias"] = checkpoint.tensor(f"{name}.bias", (rows,))
    output = checkpoint.tensor(f"{prefix}.self_attn.o_proj.weight", (sizes.embedding, sizes.query))
    tensors["attn_output.weight"] = CentredColumns(output)
    tensors["attn_output.bias"] = centred_rows(_bias(checkpoint, f"{prefix}.self_attn.o_proj.bias", sizes.embedding))
    return tensors


def _bias(checkpoint: Checkpoint, name: str, length: int) -> RowSource:
    """Return a bias, or zeros where the model has none but llama.cpp wants one."""
    return checkpoint.tensor(name, (length,)) if name in checkpoint else zeros(length)


def _experts(checkpoint: Checkpoint, sizes: DecoderSize, layer: int, n_experts: int) -> Tensors:
    block = f"model.layers.{layer}.block_sparse_moe"
    if f"{block}.gate.weight" in checkpoint:
        router_name = f"{block}.gate.weight"
        gates, ups, downs = _separate_experts(checkpoint, sizes, block, n_experts)
    else:
        router_name = f"model.layers.{layer}.mlp.router.weight"
        gates, ups, downs = _stacked_experts(checkpoint, sizes, f"model.layers.{layer}.mlp.experts", n_experts)
    router = checkpoint.tensor(router_name, (n_experts, sizes.embedding))
    up_shape = (n_experts, sizes.feed_forward, sizes.embedding)
    down_shape = (n_experts, sizes.embedding, sizes.feed_forward)
    return {
        "ffn_gate_inp.weight": MappedRows(router, lambda rows: rows * ROUTER_SCALE),
        "ffn_gate_exps.weight": JoinedRows(gates, up_shape),
        "ffn_up_exps.weight": JoinedRows(ups, up_shape),
        "ffn_down_exps.weight": JoinedRows([CentredColumns(down, EXPERT_SCALE) for down in downs], down_shape),
    }


Experts = tuple[list[RowSource], list[RowSource], list[RowSource]]


def _separate_experts(checkpoint: Checkpoint, sizes: DecoderSize, block: str, n_experts: int) -> Experts:
    """Return gate, up and down projections of all experts from the layout of the Hub."""
    up_shape, down_shape = (sizes.feed_forward, sizes.embedding), (sizes.embedding, sizes.feed_forward)
    names = [f"{block}.experts.{number}" for number in range(n_experts)]
    gates = [checkpoint.tensor(f"{name}.w1.weight", up_shape) for name in names]
    ups = [checkpoint.tensor(f"{name}.w3.weight", up_shape) for name in names]
    downs = [checkpoint.tensor(f"{name}.w2.weight", down_shape) for name in names]
    return gates, ups, downs


def _stacked_experts(checkpoint: Checkpoint, sizes: DecoderSize, name: str, n_experts: int) -> Experts:
    """Return gate, up and down projections of all experts from the layout transformers 5 keeps in memory."""
    width, hidden = sizes.feed_forward, sizes.embedding
    gate_up = checkpoint.tensor(f"{name}.gate_up_proj", (n_experts, 2 * width, hidden))
    down = checkpoint.tensor(f"{name}.down_proj", (n_experts, hidden, width))
    starts = [2 * width * number for number in range(n_experts)]
    gates = [slice_rows(gate_up, start, start + width) for start in starts]
    ups = [slice_rows(gate_up, start + width, start + 2 * width) for start in starts]
    return gates, ups, [slice_rows(down, hidden * number, hidden * (number + 1)) for number in range(n_experts)]
