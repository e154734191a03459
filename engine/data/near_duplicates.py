"""Group examples that say nearly the same, by MinHash of their word triples (Broder 1997) and LSH."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from engine.data.example import Example
from engine.data.libraries import training_library

DEFAULT_THRESHOLD = 0.8

_PERMUTATIONS = 128
_WORDS_PER_SHINGLE = 3
# The index cannot be asked for more; comparing candidates can.
_STRICTEST = 0.95
# Bounds the memory of one update: that many rows of 128 numbers.
_BATCH = 4096
# Scripts without spaces between words count by the character.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]|\w+")


def words_of(text: str) -> list[str]:
    """Give the words of a text in lower case."""
    return _WORD.findall(text.lower())


class NearDuplicates:
    """Compare each example with the first of every group of similar ones; about five kilobytes stay of each such."""

    def __init__(self, threshold: float = DEFAULT_THRESHOLD) -> None:
        """Take the least share of word triples (Jaccard) that near-duplicates have in common.

        Raises EngineError `model_unsupported` when the library is missing.
        """
        self._library: Any = training_library("datasketch", "Finding near-duplicates")
        self._threshold = threshold
        # Candidates are compared again, so missing one weighs more than one too many.
        nearest = min(threshold, _STRICTEST)
        self._index = self._library.MinHashLSH(threshold=nearest, num_perm=_PERMUTATIONS, weights=(0.2, 0.8))
        self._signatures: dict[int, Any] = {}

    def leader(self, number: int, example: Example) -> int:
        """Give the number of the first example of the group that this one belongs to: `number` itself if it is new."""
        signature = self._library.MinHash(num_perm=_PERMUTATIONS, seed=1)
        shingles = _shingles(example)
        while batch := [shingle for _, shingle in zip(range(_BATCH), shingles, strict=False)]:
            signature.update_batch(batch)
        if signature.is_empty():
            return number
        values = signature.hashvalues.astype("uint32")
        for candidate in sorted(self._index.query(signature)):
            if float((self._signatures[candidate] == values).mean()) >= self._threshold:
                return int(candidate)
        self._index.insert(number, signature)
        self._signatures[number] = values
        return number


def _shingles(example: Example) -> Iterator[bytes]:
    words = [word for text in example.texts() for word in words_of(text)]
    for start in range(max(1, len(words) - _WORDS_PER_SHINGLE + 1)):
        if words:
            yield " ".join(words[start : start + _WORDS_PER_SHINGLE]).encode()
