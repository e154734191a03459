"""Put pictures into prompts as Phi-3-vision's processor does (processing_phi3_v.py).

A prompt names its pictures `<|image_1|>`, `<|image_2|>`, ... in order. Each stretch of text between two of them is
tokenised on its own and begins with BOS; in place of picture k stand as many ids -k as it has embeddings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.errors import EngineError

_TAG = re.compile(r"<\|image_(\d{1,6})\|>", re.ASCII)
_TAG_START = "<|image_"
# Stands for the beginning of a tag that is only text: two characters for private use, which no text has.
_MASKED_START = "\ue0f0\ue0f1"


@dataclass(frozen=True)
class PictureRun:
    """Say where in the ids the embeddings of one picture go; `number` counts from 1."""

    number: int
    start: int
    stop: int


def tag_pictures(turns: Sequence[tuple[str, int]]) -> list[str]:
    """Give each turn (its text, how many pictures it brings) the tags of its pictures, numbered over all turns.

    Tags go in front, each on a line of its own. A text that already names just its own pictures, in order, keeps them
    where they are; all other tags in a text are words, not pictures.
    """
    texts, count = [], 0
    for text, pictures in turns:
        numbers = list(range(count + 1, count + pictures + 1))
        count += pictures
        if pictures and _numbers(text) == numbers:
            texts.append(text)
        else:
            tags = "".join(f"<|image_{number}|>\n" for number in numbers)
            texts.append(tags + text.replace(_TAG_START, _MASKED_START))
    return texts


def picture_prompt_ids(
    prompt: str, token_counts: Sequence[int], tokenize: Callable[[str], list[int]], bos: int
) -> list[int]:
    """Return the ids of a rendered prompt; `token_counts` has one count per picture, `tokenize` adds no BOS.

    Raises EngineError `bad_request` unless the prompt names every picture once and in order.
    """
    numbers = _numbers(prompt)
    if numbers != list(range(1, len(token_counts) + 1)):
        named = ", ".join(map(str, numbers)) or "none"
        sentence = f"The prompt names the pictures {named}, but there are {len(token_counts)}, to be named in order."
        raise EngineError("bad_request", sentence, "Name each picture once: <|image_1|>, <|image_2|>, and so on.")
    ids: list[int] = []
    for number, text in prompt_pieces(prompt):
        if number:
            ids += [-number] * token_counts[number - 1]
        ids += [bos, *tokenize(text)]
    return ids


def prompt_pieces(prompt: str) -> list[tuple[int, str]]:
    """Return the texts of a rendered prompt, each with the number of the picture before it; the first has 0."""
    texts = [text.replace(_MASKED_START, _TAG_START) for text in _TAG.split(prompt)[::2]]
    return list(zip([0, *_numbers(prompt)], texts, strict=True))


def picture_runs(ids: Sequence[int]) -> list[PictureRun]:
    """Return the places of pictures in ids, in order."""
    runs: list[PictureRun] = []
    for place, token in enumerate(ids):
        if token >= 0:
            continue
        if runs and runs[-1].number == -token and runs[-1].stop == place:
            runs[-1] = PictureRun(-token, runs[-1].start, place + 1)
        else:
            runs.append(PictureRun(-token, place, place + 1))
    return runs


def _numbers(text: str) -> list[int]:
    return [int(number) for number in _TAG.findall(text)]
