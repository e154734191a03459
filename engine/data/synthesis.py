"""Let a model write new examples: questions like given ones (Self-Instruct, Wang et al. 2022), or on a text."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from engine.data.chat_markers import chat_marker
from engine.data.example import Example, Place, RowError
from engine.data.near_duplicates import NearDuplicates, words_of
from engine.protocol import Message

_SHOWN_QUESTIONS = 3
_MOST_PASSAGE = 2000
_FEWEST_WORDS = 3
_ATTEMPTS_PER_EXAMPLE = 5
# Questions are short, so that a few words in common already make them alike.
_LIKENESS = 0.5
_LEAD = re.compile(r"^\s*(?:(?:new )?question\s*\d*\s*:|\d+[.)]|[-*])\s*", re.IGNORECASE)

Ask = Callable[[str, int], "Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold what a model said to a prompt; `finished` is false when it was cut off."""

    text: str
    finished: bool


@dataclass(slots=True)
class Synthesis:
    """Write examples until there are enough or too many attempts were in vain.

    Attributes:
        count: how many are wanted.
        refused: why attempts were in vain, with counts.
    """

    seeds: Sequence[Example]
    ask: Ask
    count: int
    seed: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def examples(self) -> Iterator[Example]:
        """Give the new examples; the same seed with the same model gives the same ones."""
        chance = random.Random(self.seed)
        known = NearDuplicates(_LIKENESS)
        questions = _questions(self.seeds)
        texts = [seed.text for seed in self.seeds if seed.kind == "text"]
        for number, question in enumerate(questions):
            known.leader(number, _as_text(question))
        made = 0
        for attempt in range(self.count * _ATTEMPTS_PER_EXAMPLE):
            if made == self.count:
                return
            passage = _passage(chance.choice(texts), chance) if texts and (not questions or attempt % 2) else ""
            example = self._attempt(made + 1, chance, questions, passage, known, len(questions) + attempt)
            if isinstance(example, str):
                self.refused[example] += 1
                continue
            made += 1
            yield example

    def _attempt(
        self, number: int, chance: random.Random, questions: list[str], passage: str, known: NearDuplicates, key: int
    ) -> Example | str:
        """Ask for a question, then for its answer; give the reason when either is no good."""
        prompt = _about(passage) if passage else _like(chance.sample(questions, min(_SHOWN_QUESTIONS, len(questions))))
        question = _cleaned(self.ask(prompt, chance.getrandbits(31)).text)
        if len(words_of(question)) < _FEWEST_WORDS:
            return "the question is too short"
        if chat_marker([question]):
            return "the question has chat tokens"
        if known.leader(key, _as_text(question)) != key:
            return "the question is like another"
        answer = self.ask(_answering(passage, question) if passage else question, chance.getrandbits(31))
        if not answer.finished:
            return "the answer is too long"
        if not answer.text.strip() or chat_marker([answer.text]):
            return "the answer is empty or has chat tokens"
        try:
            messages = (Message("user", question), Message("assistant", answer.text.strip()))
            return Example(Place("synthesis", number, "example"), messages)
        except RowError as error:
            return str(error)


def _questions(seeds: Sequence[Example]) -> list[str]:
    """Give the first question of every conversation and preference."""
    turns = (next((turn.content for turn in seed.messages if turn.role == "user"), "") for seed in seeds)
    return [question.strip() for question in turns if question.strip()]


def _as_text(question: str) -> Example:
    return Example(Place("synthesis", 0), text=question)


def _passage(text: str, chance: random.Random) -> str:
    """Cut a part out of a text that begins and ends between words."""
    start = chance.randrange(max(1, len(text) - _MOST_PASSAGE))
    part = text[start : start + _MOST_PASSAGE]
    if start:
        part = part.partition(" ")[2] or part
    return (part if start + _MOST_PASSAGE >= len(text) else part.rpartition(" ")[0] or part).strip()


def _like(questions: Sequence[str]) -> str:
    listed = "\n".join(f"{number}. {question}" for number, question in enumerate(questions, 1))
    return (
        f"These are requests to an assistant:\n{listed}\n\n"
        "Write one new request of the same kind about something else. Write only the request."
    )


def _about(passage: str) -> str:
    return f"{passage}\n\nWrite one question that the text above answers. Write only the question."


def _answering(passage: str, question: str) -> str:
    return f"{passage}\n\nAnswer with what the text above says: {question}"


def _cleaned(text: str) -> str:
    """Take the first line that says something, without number, label and quotation marks."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return _LEAD.sub("", line).strip().strip('"“”').strip()
