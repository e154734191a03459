"""Find examples that repeat an evaluation by runs of 13 words in common, as GPT-3's authors did (Brown et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.data.example import Example, RowError
from engine.data.near_duplicates import words_of
from engine.data.reader import read_rows

RUN = 13
# Shorter texts of an evaluation count whole; still shorter ones are said by chance.
SHORTEST = 8


class Contamination:
    """Hold the runs of words of evaluation files."""

    def __init__(self) -> None:
        """Begin without any."""
        self._runs: dict[int, dict[int, str]] = {}

    def add_file(self, path: Path) -> None:
        """Add every text of a file, in whatever columns it stands; raises EngineError `input_invalid`."""
        for row in read_rows(path):
            if not isinstance(row, RowError):
                self.add_texts(_texts(row), path.name)

    def add_texts(self, texts: Iterable[str], name: str) -> None:
        """Add texts of an evaluation called `name`."""
        for text in texts:
            words = words_of(text)
            length = min(len(words), RUN)
            if length >= SHORTEST:
                known = self._runs.setdefault(length, {})
                for run in _runs(words, length):
                    known.setdefault(run, name)

    def found_in(self, example: Example) -> str | None:
        """Name the evaluation that an example repeats, if it does."""
        for text in example.texts():
            words = words_of(text)
            for length, known in self._runs.items():
                for run in _runs(words, length):
                    if run in known:
                        return known[run]
        return None


def _runs(words: Sequence[str], length: int) -> Iterator[int]:
    for start in range(len(words) - length + 1):
        yield hash(tuple(words[start : start + length]))


def _texts(value: Any) -> Iterator[str]:
    """Give every text inside of a row."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
