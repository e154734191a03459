"""Write a random checkpoint of a Phi-3 model's true size: values do not change speed or memory, shapes do.

    python benchmarks/true_size.py OUT_DIR [--variant mini-4k|mini-128k|medium-4k|small-8k] [--layers N]

The tokenizer is the family's own, from tests/data; that of phi-3-small is cut to 1,024 tokens there, and so is its
vocabulary here. About 7.6 GB for the mini variants.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parents[1] / "tests" / "data"
TOKENIZER = DATA / "phi3-tokenizer"
SMALL = DATA / "phi3small-tiny"
SHARD_BYTES = 5_000_000_000
BLOCK = 1 << 25

COMMON: dict[str, Any] = {
    "architectures": ["Phi3ForCausalLM"],
    "model_type": "phi3",
    "torch_dtype": "bfloat16",
    "vocab_size": 32064,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "original_max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "hidden_act": "silu",
    "bos_token_id": 1,
    "eos_token_id": 32000,
    "pad_token_id": 32000,
}
MINI = {
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
}
MEDIUM = {
    "hidden_size": 5120,
    "intermediate_size": 17920,
    "num_hidden_layers": 40,
    "num_attention_heads": 40,
    "num_key_value_heads": 10,
}
LONG_ROPE = {"type": "longrope", "short_factor": [1.05] * 48, "long_factor": [1.0 + index for index in range(48)]}
SMALL_SIZES = {
    "hidden_size": 4096,
    "ff_intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "mini-4k": {**COMMON, **MINI, "max_position_embeddings": 4096, "sliding_window": 2047},
    "mini-128k": {
        **COMMON,
        **MINI,
        "max_position_embeddings": 131072,
        "sliding_window": 262144,
        "rope_scaling": LONG_ROPE,
    },
    "medium-4k": {**COMMON, **MEDIUM, "max_position_embeddings": 4096, "sliding_window": 2047},
    "small-8k": {**json.loads((SMALL / "config.json").read_text("utf-8")), **SMALL_SIZES},
}


def shapes(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of every tensor of a Phi3ForCausalLM or a Phi3SmallForCausalLM."""
    if config["model_type"] == "phi3small":
        yield from small_shapes(config)
        return
    hidden, ff, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    head_dim = hidden // heads
    qkv = hidden + 2 * config["num_key_value_heads"] * head_dim
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "self_attn.qkv_proj.weight", (qkv, hidden)
        yield prefix + "self_attn.o_proj.weight", (hidden, hidden)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
        yield prefix + "mlp.gate_up_proj.weight", (2 * ff, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, ff)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (config["vocab_size"], hidden)


def small_shapes(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of every tensor of a Phi3SmallForCausalLM."""
    hidden, ff, heads = config["hidden_size"], config["ff_intermediate_size"], config["num_attention_heads"]
    qkv = hidden + 2 * config["num_key_value_heads"] * (hidden // heads)
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        matrices = (
            ("self_attn.query_key_value", (qkv, hidden)),
            ("self_attn.dense", (hidden, hidden)),
            ("mlp.up_proj", (2 * ff, hidden)),
            ("mlp.down_proj", (hidden, ff)),
        )
        for name, shape in matrices:
            yield f"{prefix}{name}.weight", shape
            yield f"{prefix}{name}.bias", shape[:1]
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield from ((f"{prefix}{name}.{part}", (hidden,)) for part in ("weight", "bias"))
    yield from ((f"model.final_layernorm.{part}", (hidden,)) for part in ("weight", "bias"))


def write_checkpoint(out: Path, variant: str, layers: int | None = None) -> None:
    """Write config, tokenizer, shards and index of a random checkpoint into `out`."""
    config = dict(VARIANTS[variant])
    config["num_hidden_layers"] = layers or config["num_hidden_layers"]
    out.mkdir(parents=True, exist_ok=True)
    if config["model_type"] == "phi3small":
        for file in ("cl100k_base.tiktoken", "tokenizer_config.json", "tiny_special_tokens.json"):
            shutil.copy(SMALL / file, out / file)
    else:
        for file in ("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "added_tokens.json"):
            shutil.copy(TOKENIZER / file, out / file)
    (out / "config.json").write_text(json.dumps(config, indent=1), "utf-8")
    shards: list[list[tuple[str, tuple[int, ...]]]] = [[]]
    size = 0
    for name, shape in shapes(config):
        tensor_bytes = int(np.prod(shape)) * 2
        if size + tensor_bytes > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += tensor_bytes
    weight_map = {}
    noise = random_bf16()
    for number, tensors in enumerate(shards, 1):
        file_name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_shard(out / file_name, tensors, noise)
        weight_map.update({name: file_name for name, _ in tensors})
    index = {"metadata": {}, "weight_map": weight_map}
    (out / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


def random_bf16() -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Draw a block of bf16 bit patterns with the spread of trained weights."""
    values = np.random.default_rng(0).normal(0, 0.02, BLOCK).astype(np.float32)
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def write_shard(
    path: Path, tensors: list[tuple[str, tuple[int, ...]]], noise: np.ndarray[Any, np.dtype[np.uint16]]
) -> None:
    """Write one safetensors file; norms are ones, matrices are cut from the block at different places."""
    header: dict[str, Any] = {}
    offset = 0
    for name, shape in tensors:
        end = offset + int(np.prod(shape)) * 2
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    encoded = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for number, (_, shape) in enumerate(tensors):
            left = int(np.prod(shape))
            if len(shape) == 1:
                file.write(np.full(left, 0x3F80, np.uint16).tobytes())
                continue
            start = number * 977 % (BLOCK // 2)
            while left:
                piece = noise[start : start + left]
                file.write(piece.tobytes())
                left -= len(piece)
                start = 0


def main() -> None:
    """Read the command line and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--variant", choices=VARIANTS, default="mini-4k")
    parser.add_argument("--layers", type=int, help="fewer layers than the real model, for a quick look")
    arguments = parser.parse_args()
    write_checkpoint(arguments.out, arguments.variant, arguments.layers)


if __name__ == "__main__":
    main()
