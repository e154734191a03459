"""Find chat tokens inside of texts: what was rendered for a model before must not be rendered again."""

from __future__ import annotations

import re
from collections.abc import Iterable

# The added tokens of Phi-3 become tokens wherever they stand, so a row that carries one changes what is learned.
_FAMILIES = {
    "Phi-3": ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>", "<s>", "</s>", "<unk>"),
    "ChatML": ("<|im_start|>", "<|im_end|>", "<|im_sep|>"),
    "Llama 2 or Mistral": ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    "Llama 3": ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "Gemma": ("<start_of_turn>", "<end_of_turn>"),
    "DeepSeek": ("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    "Command R": ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
}
_OWNERS = {marker: family for family, markers in _FAMILIES.items() for marker in markers}
_MARKER = re.compile(
    "|".join(map(re.escape, sorted(_OWNERS, key=len, reverse=True)))
    + r"|<\|placeholder\d+\|>|<\|image_\d+\|>|###\s*(?:Human|Assistant|Instruction|Response)\s*:|\n(?:USER|ASSISTANT):"
)
_SLOT = re.compile(r"\{\{\s*\w{1,40}\s*\}\}|\[(?:NAME|INSERT[^\]\n]{0,40}|YOUR [^\]\n]{0,40})\]")


def chat_marker(texts: Iterable[str]) -> str | None:
    """Say which chat token stands in one of some texts, and whose it is."""
    for text in texts:
        if match := _MARKER.search(text):
            marker = match.group().strip()
            family = _OWNERS.get(marker, "Phi-3" if marker.startswith("<|") else "another chat form")
            return f"has {marker!r} of {family} in its text"
    return None


def unfilled_slot(texts: Iterable[str]) -> str | None:
    """Say which slot of a form was left unfilled, such as `{{name}}`."""
    for text in texts:
        if match := _SLOT.search(text):
            return f"has the unfilled slot {match.group()!r}"
    return None
