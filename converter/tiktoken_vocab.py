"""Read the vocabulary of Phi-3-small: tiktoken's cl100k ranks, and the special tokens that follow them.

The Hub's repository has no tokenizer.json; the special tokens stand in its Python code.
"""

import base64
import binascii
from itertools import pairwise
from pathlib import Path

from converter.errors import ConversionError
from converter.vocab_pieces import NORMAL, AddedToken, Pieces

# In the order of their ids, beginning after the last rank.
SPECIAL_TOKENS = (
    "dummy_id_2", "endoftext", "fim_prefix", "fim_middle", "fim_suffix", "system", "user", "assistant", "dummy_id_0",
    "dummy_id_1", "end", *(f"dummy_id_{number}" for number in range(3, 12)), "endofprompt",
    *(f"dummy_id_{number}" for number in range(12, 87)),
)  # fmt: skip
NEVER_MASKED = ("endoftext", "system", "user", "assistant", "end")


def find_tiktoken_file(folder: Path) -> Path | None:
    """Return the file of ranks in a checkpoint directory, or None."""
    return next(iter(sorted(folder.glob("*.tiktoken"))), None)


def read_tiktoken(path: Path) -> Pieces:
    """Read ranks and express them as the merges of a byte level vocabulary."""
    ranks = _read_ranks(path)
    spell = dict(enumerate(_byte_characters()))
    tokens = ["".join(spell[byte] for byte in token) for token in ranks]
    merges = [pair for token, rank in ranks.items() if len(token) > 1 and (pair := _last_merge(token, rank, ranks))]
    spelled = (tuple("".join(spell[byte] for byte in part) for part in pair) for pair in merges)
    return Pieces(
        model="gpt2",
        pre="dbrx",
        tokens=tokens,
        types=[NORMAL] * len(tokens),
        scores=None,
        merges=tuple(" ".join(pair) for pair in spelled),
        adds_bos=False,
        prefix="never",
        added_tokens=tuple(AddedToken(len(ranks) + i, f"<|{name}|>") for i, name in enumerate(SPECIAL_TOKENS)),
    )


def masked_tokens(vocabulary_size: int) -> list[int]:
    """Return the ids of special tokens that are never to be sampled; they are the last ones of the vocabulary."""
    first = vocabulary_size - len(SPECIAL_TOKENS)
    return [first + number for number, name in enumerate(SPECIAL_TOKENS) if name not in NEVER_MASKED]


def _read_ranks(path: Path) -> dict[bytes, int]:
    try:
        lines = [line.split() for line in path.read_bytes().splitlines() if line.strip()]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    except (OSError, ValueError, binascii.Error):
        ranks = {}
    if not ranks or list(ranks.values()) != list(range(len(ranks))):
        raise ConversionError("model_invalid", f"{path.name} is damaged: it holds no ranks.", "Download it again.")
    return ranks


def _last_merge(token: bytes, rank: int, ranks: dict[bytes, int]) -> tuple[bytes, bytes] | None:
    """Return the two parts `token` is made from at last: encode it with the merges that come before its own."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pair_ranks = [ranks.get(left + right, rank) for left, right in pairwise(parts)]
        best = min(pair_ranks)
        if best >= rank:
            return None
        where = pair_ranks.index(best)
        parts[where : where + 2] = [parts[where] + parts[where + 1]]
    return parts[0], parts[1]


def _byte_characters() -> list[str]:
    """Return the printable character GPT-2 spells each byte with."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
