"""Turn examples into what a method learns from, and keep some apart to measure on."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.data.example import Example
from engine.errors import EngineError
from engine.protocol import Message
from engine.training.answers import Prompt
from engine.training.chat_encoding import ChatEncoding
from engine.training.samples import IGNORED, Item, Sample

WANTED = {
    "lora": ("conversation",),
    "qlora": ("conversation",),
    "full": ("conversation",),
    "dpo": ("preference",),
    "pretrain": ("text",),
}
CALLED = {"conversation": "conversations", "preference": "preferences (chosen and rejected answers)", "text": "texts"}


@dataclass
class Dataset:
    """Hold items, the prompts that they answer, and why rows were refused, with counts."""

    items: list[Item] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


def build_dataset(
    examples: Iterable[Example],
    encoding: ChatEncoding,
    method: str,
    max_length: int,
    check: Callable[[], None] = lambda: None,
) -> Dataset:
    """Encode every example that the method can use; `check` may raise between examples.

    Raises EngineError `input_invalid` when nothing is left to learn from.
    """
    dataset = Dataset()
    make = _Maker(encoding, method, max_length)
    for example in examples:
        check()
        try:
            items = list(make.items(example))
        except EngineError as error:
            if error.code not in ("input_invalid", "picture_invalid"):
                raise
            dataset.refused[error.message] += 1
            continue
        dataset.items += items
        if items and example.messages:
            dataset.prompts.append(make.prompt(example))
    if not dataset.items:
        why = f" {dataset.refused.most_common(1)[0][0]}" if dataset.refused else ""
        message = f"The data holds nothing that the method {method} can learn from.{why}"
        raise EngineError("input_invalid", message, "Check the data with: python -m engine data inspect FILE")
    return dataset


class _Maker:
    """Make the items of one method."""

    def __init__(self, encoding: ChatEncoding, method: str, max_length: int) -> None:
        self._encoding, self._method, self._max_length = encoding, method, max_length
        self._labeller = encoding.labeller() if method != "pretrain" else None

    def items(self, example: Example) -> Iterator[Item]:
        if example.kind not in WANTED[self._method]:
            wanted = CALLED[WANTED[self._method][0]]
            sentence = f"The method {self._method} learns from {wanted}, and this row holds none."
            raise EngineError("input_invalid", sentence, "Choose another method.")
        if example.kind == "text":
            yield from self._pieces(example.text)
        elif example.kind == "preference":
            both = (self._answers(example.messages, chosen) for chosen in (example.chosen, example.rejected))
            yield Item(tuple(both))
        else:
            yield Item((self._answers((), example.messages),))

    def prompt(self, example: Example) -> Prompt:
        """Return the conversation up to its last question; the names of its pictures tell equal questions apart."""
        turns = list(example.messages)
        while turns and turns[-1].role == "assistant":
            turns.pop()
        question = next((turn.content for turn in reversed(turns) if turn.role == "user"), "")
        names = ", ".join(Path(picture).name for turn in turns for picture in turn.pictures)
        shown = f"{question} ({names})" if names else question
        return Prompt(shown, tuple(self._encoding.encode(turns)), tuple(turns))

    def _answers(self, before: Sequence[Message], learned: Sequence[Message]) -> Sample:
        assert self._labeller is not None
        labelled = self._labeller.label([*before, *learned], learn_from=len(before)).cut(self._max_length)
        return Sample(tuple(labelled.ids), tuple(labelled.labels))

    def _pieces(self, text: str) -> Iterator[Item]:
        """Cut a text into pieces; its end is learned too. A single token teaches nothing."""
        ids = self._encoding.encode_text(text)
        if self._encoding.end_of_text is not None:
            ids.append(self._encoding.end_of_text)
        for start in range(0, len(ids), self._max_length):
            piece = tuple(ids[start : start + self._max_length])
            if len(piece) > 1:
                yield Item((Sample(piece, (IGNORED, *piece[1:])),))
