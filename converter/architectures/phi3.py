"""Plan the conversion of Phi-3-mini and -medium, Phi-3.5-mini, Phi-4 and Phi-4-mini (`model_type` phi3)."""

from converter.checkpoint import Checkpoint
from converter.configuration import DecoderSize, decoder_size, number, optional_size, read_rope, wrong
from converter.gguf_writer import uint32
from converter.granite_swa import ARCHITECTURE as GRANITE_SWA
from converter.granite_swa import from_phi3, swa_metadata
from converter.lazy_tensors import RowSource
from converter.metadata import FAITHFUL_CONTEXT_KEY
from converter.model_plan import ModelPlan, decoder_metadata, model_shape, rope_tensors

LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_qkv": "self_attn.qkv_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.gate_up_proj",
    "ffn_down": "mlp.down_proj",
}


def plan(checkpoint: Checkpoint) -> ModelPlan:
    """Plan the file of a checkpoint: llama.cpp's phi3 layout, or granite_swa's where a sliding window is at work."""
    config = checkpoint.config
    sizes = decoder_size(config)
    if config.get("hidden_act", "silu") not in ("silu", "swish"):
        raise wrong("hidden_act", config["hidden_act"], "silu")
    rope = read_rope(config, sizes, nested_original=False)  # Phi3Config takes 4,096 where its own key is missing
    epsilon = number(config, "rms_norm_eps", 1e-5)
    window = optional_size(config, "sliding_window")
    tensors = _tensors(checkpoint, sizes, config.get("tie_word_embeddings") is True) | rope_tensors(rope)
    windowed = window is not None and window < sizes.context
    if window is not None and windowed and rope.dimensions == sizes.head:
        metadata = swa_metadata(sizes, epsilon, rope, window, [True] * sizes.n_layers)
        tensors = from_phi3(tensors, sizes.n_heads, sizes.n_kv_heads)
        return ModelPlan(GRANITE_SWA, metadata, tensors, model_shape(sizes), sizes.vocabulary)
    metadata = decoder_metadata("phi3", sizes, epsilon, rope)
    metadata["phi3.attention.sliding_window"] = uint32(window or 0)
    if window is None or not windowed:
        return ModelPlan("phi3", metadata, tensors, model_shape(sizes), sizes.vocabulary)
    metadata[FAITHFUL_CONTEXT_KEY] = uint32(window)
    warning = f"Answers are approximate beyond {window} tokens: a sliding window cannot go with partly turned heads."
    return ModelPlan("phi3", metadata, tensors, model_shape(sizes), sizes.vocabulary, (warning,))


def _tensors(checkpoint: Checkpoint, sizes: DecoderSize, tied: bool) -> dict[str, RowSource]:
    vocabulary_shape = (sizes.vocabulary, sizes.embedding)
    tensors = {"token_embd.weight": checkpoint.tensor("model.embed_tokens.weight", vocabulary_shape)}
    if not tied:
        tensors["output.weight"] = checkpoint.tensor("lm_head.weight", vocabulary_shape)
    tensors["output_norm.weight"] = checkpoint.tensor("model.norm.weight", (sizes.embedding,))
    shapes = {
        "attn_norm": (sizes.embedding,),
        "attn_qkv": (sizes.query + 2 * sizes.key_value, sizes.embedding),
        "attn_output": (sizes.embedding, sizes.query),
        "ffn_norm": (sizes.embedding,),
        "ffn_up": (2 * sizes.feed_forward, sizes.embedding),
        "ffn_down": (sizes.embedding, sizes.feed_forward),
    }
    for layer in range(sizes.n_layers):
        for name, source in LAYER_TENSORS.items():
            tensors[f"blk.{layer}.{name}.weight"] = checkpoint.tensor(
                f"model.layers.{layer}.{source}.weight", shapes[name]
            )
    return tensors
