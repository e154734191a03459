"""Give what each token adds to a text, from the vocabulary alone."""

import re
from collections.abc import Callable

from converter.vocab import Vocabulary

BYTE = re.compile(r"<0x([0-9A-F]{2})>")
CONTROL_TYPES = (3, 4)
"""GGUF's types of tokens that are spelled as they are: control and user defined."""


def token_pieces(vocabulary: Vocabulary) -> Callable[[int], bytes]:
    """Return the function from an id to its bytes; special tokens as they are spelled."""
    decode = _byte_level() if vocabulary.model == "gpt2" else _sentencepiece

    def piece(token: int) -> bytes:
        if not 0 <= token < len(vocabulary.tokens):
            return b""
        spelled = vocabulary.tokens[token]
        return spelled.encode() if vocabulary.types[token] in CONTROL_TYPES else decode(spelled)

    return piece


def _sentencepiece(spelled: str) -> bytes:
    match = BYTE.fullmatch(spelled)
    return bytes([int(match[1], 16)]) if match else spelled.replace("▁", " ").encode()


def _byte_level() -> Callable[[str], bytes]:
    """Undo GPT-2's spelling, in which every byte is a printable character (openai/gpt-2, encoder.py)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(hidden)}

    def decode(spelled: str) -> bytes:
        return b"".join(bytes([table[char]]) if char in table else char.encode() for char in spelled)

    return decode
