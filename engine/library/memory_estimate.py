"""Estimate how much memory a model takes, from its header alone."""

from converter.gguf_file import GGUFHeader

TYPICAL_CONTEXT = 4096
MICRO_BATCH = 512
KV_ELEMENT_BYTES = 2
FIXED_BYTES = 64 << 20
"""Program, tokenizer and allocator overhead of the worker."""


def estimate_memory(header: GGUFHeader, context: int = TYPICAL_CONTEXT) -> int:
    """Estimate the bytes that loading the file and a conversation of `context` tokens take.

    Counted are the weights, the f16 KV cache, and the graph's largest activations for one micro-batch (the feed-forward
    pair, the residual stream and the logits in float32).
    """
    architecture = header.architecture

    def hyperparameter(name: str, default: int = 0) -> int:
        return int(header.number(f"{architecture}.{name}", default))

    heads = max(hyperparameter("attention.head_count"), 1)
    embedding = hyperparameter("embedding_length")
    head_dim = hyperparameter("attention.key_length", embedding // heads)
    kv_width = hyperparameter("attention.head_count_kv", heads) * head_dim
    context = min(context, hyperparameter("context_length", context))
    kv_cache = 2 * hyperparameter("block_count") * context * kv_width * KV_ELEMENT_BYTES
    vocabulary = header.tensors["token_embd.weight"].shape[0] if "token_embd.weight" in header.tensors else 0
    activations = MICRO_BATCH * 4 * (2 * hyperparameter("feed_forward_length") + 4 * embedding + vocabulary)
    return header.size + kv_cache + activations + FIXED_BYTES
