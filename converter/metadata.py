"""Write down what a GGUF file tells about its model besides the tensors."""

import json
import re

from converter.ggml_types import FileType
from converter.gguf_file import MetadataType, MetadataValue
from converter.gguf_writer import boolean, float32, numbers, string, strings, uint32
from converter.vocab import Vocabulary, added_tokens_json
from converter.vocab_pieces import AddedToken

CONVERTER_VERSION = 1
QUANTIZATION_VERSION = 2

VERSION_KEY = "phidelity.converter.version"
SOURCE_NAME_KEY = "phidelity.source.name"
SOURCE_ARCHITECTURE_KEY = "phidelity.source.architecture"
# Values of it whose models see pictures.
WITH_PICTURES = ("phi3_v",)
# What a model file was made of, and the same of the model that an adapter was trained on (base_fingerprint.py).
FINGERPRINT_KEY = "phidelity.source.fingerprint"
BASE_FINGERPRINT_KEY = "phidelity.adapter.base_fingerprint"
ADAPTER_BASE_KEY = "phidelity.adapter.base"
ADDED_TOKENS_KEY = "phidelity.tokenizer.added_tokens"
PREFIX_KEY = "phidelity.tokenizer.prefix"
STOP_IDS_KEY = "phidelity.tokenizer.stop_ids"
# Up to how many tokens the model computes what its reference does; missing where there is no such limit.
FAITHFUL_CONTEXT_KEY = "phidelity.faithful_context"
# What cosine and sine are scaled by under LongRoPE's long factors, where it is not rope.scaling.attn_factor.
LONG_ATTENTION_FACTOR_KEY = "phidelity.rope.long_attn_factor"
# True where everything written to the residual stream is centred (layer_norm.py).
CENTRED_KEY = "phidelity.layer_norm.centred"
# How the experts' scores and weights in llama.cpp's graph stand to SparseMixer's, and its jitter (phimoe.py).
ROUTER_JITTER_KEY = "phidelity.router.jitter_noise"
ROUTER_SCORE_SCALE_KEY = "phidelity.router.score_scale"
ROUTER_WEIGHT_SCALE_KEY = "phidelity.router.weight_scale"
# What Phi-3-small's exact arithmetic needs and llama.cpp has no place for, in the words and values of config.json: the
# clamps (no key: none), the block-sparse attention, and which layers do without it (every so many; 0: none).
GEGELU_LIMIT_KEY = "phidelity.phi3small.gegelu_limit"
BLOCK_SIZE_KEY = "phidelity.phi3small.blocksparse_block_size"
LOCAL_BLOCKS_KEY = "phidelity.phi3small.blocksparse_num_local_blocks"
VERTICAL_STRIDE_KEY = "phidelity.phi3small.blocksparse_vert_stride"
HOMO_HEAD_PATTERN_KEY = "phidelity.phi3small.blocksparse_homo_head_pattern"
DENSE_LAYERS_KEY = "phidelity.phi3small.dense_attention_every_n_layers"
# A number added to every logit, and the tokens that are never to be sampled.
LOGIT_BIAS_KEY = "phidelity.logit_bias"
MASKED_TOKENS_KEY = "phidelity.masked_tokens"

# llama.cpp gives these special treatment in a file with the marker, and fails to load where one is missing.
MARKER_NEEDS = ("</s>", "<unk>", "<s>", "<|endoftext|>")
MARKER = re.compile(r"phi-?3", re.IGNORECASE)
CHAT_TOKENS = ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
MARKED_SUFFIX = " (Phi-3)"

Metadata = dict[str, MetadataValue]


def marker_wanted(tokens: set[str], added_tokens: tuple[AddedToken, ...] | None) -> bool:
    """Tell whether llama.cpp must strip white space after special tokens, which only a name with "phi-3" makes it do.

    Without flags (`added_tokens` is None) a vocabulary with Phi-3's chat tokens is taken to be like Phi-3-mini's.
    """
    if not tokens.issuperset(MARKER_NEEDS):
        return False
    present = [content for content in CHAT_TOKENS if content in tokens]
    if added_tokens is None:
        return len(present) == len(CHAT_TOKENS)
    stripping = [token for token in added_tokens if token.content in present and token.rstrip]
    return len(stripping) * 2 > len(present)


def general_name(name: str, wanted: bool) -> str:
    """Return `name` with the marker where it is wanted and without it where it would do harm."""
    if wanted:
        return name if MARKER.search(name) else name + MARKED_SUFFIX
    return MARKER.sub("Phi 3", name)


def read_added_tokens(text: str) -> tuple[AddedToken, ...] | None:
    """Return the added tokens from the JSON text of a file, or None where it is damaged."""
    try:
        return tuple(AddedToken(**entry) for entry in json.loads(text))
    except (TypeError, ValueError):
        return None


def general_metadata(architecture: str, name: str, file_type: FileType, vocabulary: Vocabulary | None) -> Metadata:
    """Describe the file as a whole; `name` is the one shown to people."""
    wanted = vocabulary is not None and marker_wanted(set(vocabulary.tokens), vocabulary.added_tokens)
    metadata = {
        "general.architecture": string(architecture),
        "general.type": string("model"),
        "general.name": string(general_name(name, wanted)),
        "general.file_type": uint32(file_type.id),
        VERSION_KEY: uint32(CONVERTER_VERSION),
        SOURCE_NAME_KEY: string(name),
    }
    if file_type.name not in ("f32", "f16", "bf16"):
        metadata["general.quantization_version"] = uint32(QUANTIZATION_VERSION)
    return metadata


def vocabulary_metadata(vocabulary: Vocabulary | None) -> Metadata:
    """Describe the vocabulary; a model without one can only be given token ids."""
    if vocabulary is None:
        return {"tokenizer.ggml.model": string("none")}
    metadata = {
        "tokenizer.ggml.model": string(vocabulary.model),
        "tokenizer.ggml.pre": string(vocabulary.pre),
        "tokenizer.ggml.tokens": strings(vocabulary.tokens),
        "tokenizer.ggml.token_type": numbers(vocabulary.types, MetadataType.INT32),
    }
    if vocabulary.scores is not None:
        metadata["tokenizer.ggml.scores"] = numbers(vocabulary.scores, MetadataType.FLOAT32)
    if vocabulary.merges is not None:
        metadata["tokenizer.ggml.merges"] = strings(vocabulary.merges)
    for role, number in vocabulary.special_ids.items():
        metadata[f"tokenizer.ggml.{role}_token_id"] = uint32(number)
    metadata |= {
        "tokenizer.ggml.add_bos_token": boolean(vocabulary.add_bos),
        "tokenizer.ggml.add_eos_token": boolean(vocabulary.add_eos),
        # llama.cpp knows no "first": a chat begins with a special token, so leaving the space out is right there.
        "tokenizer.ggml.add_space_prefix": boolean(vocabulary.prefix == "always"),
        PREFIX_KEY: string(vocabulary.prefix),
        ADDED_TOKENS_KEY: string(added_tokens_json(vocabulary.added_tokens)),
        STOP_IDS_KEY: numbers(vocabulary.stop_ids, MetadataType.INT32),
    }
    if vocabulary.chat_template is not None:
        metadata["tokenizer.chat_template"] = string(vocabulary.chat_template)
    return metadata


def rope_metadata(architecture: str, dimensions: int, theta: float) -> Metadata:
    """Describe plain rotary embeddings."""
    return {
        f"{architecture}.rope.dimension_count": uint32(dimensions),
        f"{architecture}.rope.freq_base": float32(theta),
    }
