"""Find in the header of a GGUF file what keeps a Phi-3 model from computing what its reference does."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from converter.gguf_file import GGUFHeader, StringArray
from converter.metadata import (
    ADDED_TOKENS_KEY,
    CENTRED_KEY,
    MARKER,
    MARKER_NEEDS,
    ROUTER_WEIGHT_SCALE_KEY,
    SOURCE_ARCHITECTURE_KEY,
    STOP_IDS_KEY,
    marker_wanted,
    read_added_tokens,
)
from converter.packed_scaling import can_scale
from converter.vocab import PHI3_ROLES

PHI_ARCHITECTURES = ("phi3", "phimoe", "phi3small")
# Sliding windows of models whose files may not tell: layers, width and context of Phi-3-mini-4k and Phi-3-medium-4k.
KNOWN_WINDOWS = {(32, 3072, 4096): 2047, (40, 5120, 4096): 2047}
# The one published mixture of experts: layers, width, experts and its own scale of LongRoPE.
KNOWN_MOE = (32, 4096, 16)
KNOWN_MOE_SCALE = 1.243163121016122
SCALED_IN_MOE = ("ffn_gate_inp.weight", "ffn_down_exps.weight")
SPECIAL_IN_TEMPLATE = re.compile(r"<\|[^|<>{}'\" ]+\|>|\[/?INST\]|<start_of_turn>|<end_of_turn>")
END_OF_TURN_KEY = "tokenizer.ggml.eot_token_id"
TEMPLATE_KEY = "tokenizer.chat_template"


@dataclass(frozen=True)
class Fault:
    """Describe one fault: a stable code, a sentence for the user, and whether `repair` cures it without loss."""

    code: str
    message: str
    repairable: bool


def is_family(header: GGUFHeader) -> bool:
    """Tell whether a file holds a model of the Phi-3 family, whatever its layout."""
    return header.text(SOURCE_ARCHITECTURE_KEY, header.architecture) in PHI_ARCHITECTURES


def find_faults(header: GGUFHeader) -> tuple[Fault, ...]:
    """Return the faults of a file; models of other families have none."""
    if not is_family(header):
        return ()
    checks = (_layer_faults, _rope_faults, _moe_faults, _name_faults, _chat_faults)
    return tuple(fault for check in checks for fault in check(header))


def sliding_window(header: GGUFHeader) -> int:
    """Return the sliding window a phi3 file asks for but llama.cpp ignores, or 0."""
    context = int(header.number("phi3.context_length"))
    shape = (int(header.number("phi3.block_count")), int(header.number("phi3.embedding_length")), context)
    window = int(header.number("phi3.attention.sliding_window", KNOWN_WINDOWS.get(shape, 0)))
    return window if 0 < window < context else 0


def token_ids(header: GGUFHeader) -> dict[str, int]:
    """Return the id of every token."""
    tokens = header.get("tokenizer.ggml.tokens")
    return {token: number for number, token in enumerate(tokens.decoded())} if isinstance(tokens, StringArray) else {}


def forbids_marker(header: GGUFHeader) -> bool:
    """Tell whether the name contains "phi-3" though llama.cpp cannot load the vocabulary then, of whatever family."""
    if MARKER.search(header.text("general.name")) is None:
        return False
    ids = token_ids(header)
    return bool(ids) and not all(token in ids for token in MARKER_NEEDS)


def wants_marker(header: GGUFHeader) -> bool:
    """Tell whether the name should contain "phi-3"."""
    flags = header.text(ADDED_TOKENS_KEY)
    return marker_wanted(set(token_ids(header)), read_added_tokens(flags) if flags else None)


def _layer_faults(header: GGUFHeader) -> Iterator[Fault]:
    window = sliding_window(header) if header.architecture == "phi3" else 0
    if window:
        message = f"The sliding window of {window} tokens is missing: answers to longer texts are wrong."
        yield Fault("sliding_window", message, _can_be_windowed(header))


def _can_be_windowed(header: GGUFHeader) -> bool:
    """Tell whether the layers are as phi3 has them: fused, with heads that turn as a whole."""
    n_heads = int(header.number("phi3.attention.head_count", 1))
    n_kv_heads = int(header.number("phi3.attention.head_count_kv", n_heads))
    head, rest = divmod(int(header.number("phi3.embedding_length")), max(n_heads, 1))
    n_layers = min(int(header.number("phi3.block_count")), len(header.tensors) + 1)
    fused = [header.tensors.get(f"blk.{layer}.attn_qkv.weight") for layer in range(n_layers)]
    gate_up = [header.tensors.get(f"blk.{layer}.ffn_up.weight") for layer in range(n_layers)]
    return (
        rest == head % 2 == 0
        and header.number("phi3.rope.dimension_count", head) == head
        and all(info is not None and info.shape[:-1] == ((n_heads + 2 * n_kv_heads) * head,) for info in fused)
        and all(info is not None and info.n_rows % 2 == 0 for info in gate_up)
    )


def _rope_faults(header: GGUFHeader) -> Iterator[Fault]:
    architecture = header.architecture
    context = header.number(f"{architecture}.context_length")
    original = header.number(f"{architecture}.rope.scaling.original_context_length", context)
    if not 1 < original < context:
        return
    if "rope_factors_long.weight" not in header.tensors:
        yield Fault(
            "long_rope_factors",
            f"The factors of LongRoPE are missing: texts beyond {original} tokens turn into nonsense.",
            False,
        )
    elif header.get(f"{architecture}.rope.scaling.attn_factor") is None:
        yield Fault("long_rope_scale", "The scale of LongRoPE is missing: all answers suffer.", True)


def _moe_faults(header: GGUFHeader) -> Iterator[Fault]:
    if header.architecture != "phimoe":
        return
    if header.get(CENTRED_KEY) is not True:
        yield Fault(
            "moe_layer_norm",
            "The weights are not prepared for llama.cpp's norm; importing the original checkpoint cures it.",
            False,
        )
    if header.get(ROUTER_WEIGHT_SCALE_KEY) is None:
        scalable = all(can_scale(info) for info in header.tensors.values() if info.name.endswith(SCALED_IN_MOE))
        yield Fault("moe_router", "The experts are mixed with half their weight: all answers suffer.", scalable)
    shape = tuple(int(header.number(f"phimoe.{key}")) for key in ("block_count", "embedding_length", "expert_count"))
    scale = header.number("phimoe.rope.scaling.attn_factor", 1.0)
    if shape == KNOWN_MOE and abs(scale - KNOWN_MOE_SCALE) > 1e-4:
        yield Fault("moe_rope_scale", "The scale of LongRoPE is not this model's: all answers suffer.", True)


def _name_faults(header: GGUFHeader) -> Iterator[Fault]:
    marked = MARKER.search(header.text("general.name")) is not None
    if forbids_marker(header):
        yield Fault("name_marker", 'The name contains "phi-3", with which llama.cpp cannot load this vocabulary.', True)
    elif not marked and wants_marker(header):
        message = 'The name lacks "phi-3", without which llama.cpp reads chats otherwise than the model learned them.'
        yield Fault("name_marker", message, True)


def _chat_faults(header: GGUFHeader) -> Iterator[Fault]:
    ids = token_ids(header)
    if not ids:
        yield Fault("tokenizer", "The tokenizer is missing: the model understands token ids, but no text.", False)
        return
    is_phi3 = all(token in ids for token in PHI3_ROLES)
    template = header.text(TEMPLATE_KEY)
    unknown = [token for token in SPECIAL_IN_TEMPLATE.findall(template) if token not in ids]
    if not template:
        yield Fault("chat_template", "The chat template is missing.", is_phi3)
    elif unknown:
        yield Fault(
            "chat_template", f"The chat template is another model's: it uses {unknown[0]}, an unknown token.", is_phi3
        )
    if is_phi3 and header.get(STOP_IDS_KEY) is None and header.get(END_OF_TURN_KEY) != ids["<|end|>"]:
        yield Fault("end_of_turn", "The tokens that end a turn are not named: answers may run on.", True)
