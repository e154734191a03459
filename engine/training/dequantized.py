"""Make a checkpoint directory for training from a GGUF file in llama.cpp's phi3 layout, such as the Starter.

The numbers are those that the quantised weights stand for, in float32; the tokenizer gives the same ids.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from converter.gguf_file import GGUFHeader, StringArray, TensorInfo, read_header
from converter.lazy_tensors import FileBytes, PackedRows
from engine.errors import EngineError

WEIGHTS_FILE = "model.safetensors"
CONTROL_TOKEN = 3
LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_qkv": "self_attn.qkv_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.gate_up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHER_TENSORS = {
    "token_embd": "model.embed_tokens.weight",
    "output_norm": "model.norm.weight",
    "output": "lm_head.weight",
}


def dequantized_checkpoint(gguf: Path, cache: Path) -> Path:
    """Return the checkpoint directory of a GGUF file in the folder `cache`, made on first use.

    Raises EngineError `model_unsupported` for a file that transformers has no exact equivalent of.
    """
    header = read_header(gguf)
    _check(header)
    status = gguf.stat()
    mark = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:12]
    folder = cache / mark / gguf.stem
    if folder.is_dir():
        return folder
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        save_file(dict(_tensors(header)), partial / WEIGHTS_FILE, metadata={"format": "pt"})
        (partial / "config.json").write_text(json.dumps(_config(header), indent=1), "utf-8")
        _tokenizer(header).save(str(partial / "tokenizer.json"))
        (partial / "tokenizer_config.json").write_text(json.dumps(_tokenizer_config(header), indent=1), "utf-8")
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _check(header: GGUFHeader) -> None:
    problem = None
    if header.architecture != "phi3":
        problem = f"it has the layout {header.architecture}"
    elif any("rope_factors" in name for name in header.tensors) or header.number("phi3.attention.sliding_window") > 0:
        problem = "it has LongRoPE or a sliding window"
    elif (header.text("tokenizer.ggml.model"), header.text("tokenizer.ggml.pre")) != ("gpt2", "smollm"):
        problem = "its tokenizer cannot be told from the file"
    if problem is not None:
        message = f"{header.path.name} cannot be trained: {problem}."
        raise EngineError("model_unsupported", message, "Choose the checkpoint directory that it was made from.")


def _tensors(header: GGUFHeader) -> Iterator[tuple[str, np.ndarray[Any, np.dtype[np.float32]]]]:
    file = FileBytes(header.path)
    try:
        for name, info in header.tensors.items():
            yield _name(name), _values(info, file)
    finally:
        file.close()


def _values(info: TensorInfo, file: FileBytes) -> np.ndarray[Any, np.dtype[np.float32]]:
    packed = PackedRows(info, file).rows(0, info.n_rows)
    values = dequantize(packed, GGMLQuantizationType(info.type.id))
    return np.ascontiguousarray(values, np.float32).reshape(info.shape)


def _name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem in OTHER_TENSORS:
        return OTHER_TENSORS[stem]
    _, layer, kind = stem.split(".")
    return f"model.layers.{layer}.{LAYER_TENSORS[kind]}.weight"


def _config(header: GGUFHeader) -> dict[str, Any]:
    def number(key: str) -> int:
        return int(header.number(f"phi3.{key}"))

    return {
        "architectures": ["Phi3ForCausalLM"],
        "model_type": "phi3",
        "dtype": "float32",
        "hidden_act": "silu",
        "vocab_size": header.tensors["token_embd.weight"].shape[0],
        "hidden_size": number("embedding_length"),
        "intermediate_size": number("feed_forward_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": number("attention.head_count"),
        "num_key_value_heads": number("attention.head_count_kv"),
        "max_position_embeddings": number("context_length"),
        "original_max_position_embeddings": number("context_length"),
        "rms_norm_eps": round(float(header.number("phi3.attention.layer_norm_rms_epsilon")), 9),
        "rope_theta": float(header.number("phi3.rope.freq_base")),
        "tie_word_embeddings": "output.weight" not in header.tensors,
        "sliding_window": None,
        "bos_token_id": int(header.number("tokenizer.ggml.bos_token_id")),
        "eos_token_id": int(header.number("tokenizer.ggml.eos_token_id")),
        "pad_token_id": int(header.number("tokenizer.ggml.padding_token_id")),
    }


def _strings(header: GGUFHeader, key: str) -> list[str]:
    value = header.get(key)
    return value.decoded() if isinstance(value, StringArray) else []


def _tokenizer(header: GGUFHeader) -> Tokenizer:
    """Build SmolLM's byte level encoding: digits apart, then GPT-2's pattern."""
    tokens = _strings(header, "tokenizer.ggml.tokens")
    parts = (merge.partition(" ") for merge in _strings(header, "tokenizer.ggml.merges"))
    merges = [(left, right) for left, _, right in parts]
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = header.get("tokenizer.ggml.token_type")
    assert isinstance(kinds, np.ndarray)
    special = [tokens[number] for number in np.flatnonzero(kinds == CONTROL_TOKEN)]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _tokenizer_config(header: GGUFHeader) -> dict[str, Any]:
    tokens = _strings(header, "tokenizer.ggml.tokens")

    def special(role: str) -> str:
        return tokens[int(header.number(f"tokenizer.ggml.{role}_token_id"))]

    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": special("bos"),
        "eos_token": special("eos"),
        "unk_token": special("unknown"),
        "pad_token": special("padding"),
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": int(header.number("phi3.context_length")),
        "chat_template": header.text("tokenizer.chat_template"),
    }
