"""Turn conversations with pictures into samples, with the ids that the chat gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from engine.data.labels import MASKED, LabelledTokens, Labeller
from engine.protocol import Message
from engine.training.base import Base
from engine.training.chat_encoding import ChatEncoding
from engine.vision.picture_reader import SeenPicture
from engine.vision.prompt import picture_prompt_ids, prompt_pieces, tag_pictures


class Pictures(Protocol):
    """Look at pictures."""

    def look(self, path: Path) -> SeenPicture:
        """Give number and size of a picture. Raises EngineError `picture_invalid`."""


class VisionEncoding(ChatEncoding):
    """Give the ids of a model that sees; a run of -k stands for the picture that has the number k."""

    def __init__(self, base: Base, pictures: Pictures) -> None:
        """Read the tokenizer of a checkpoint. Raises EngineError `model_invalid` or `template_invalid`."""
        super().__init__(base)
        self._pictures = pictures
        self._bos = base.vocabulary.special_ids["bos"]

    def labeller(self) -> PictureLabeller:
        """Give what marks the answers of conversations. Raises EngineError `template_invalid`."""
        plain = Labeller(self._working_template(), self._encode_tagged, self.stop_ids)
        return PictureLabeller(plain, self._bos, self._look)

    def encode(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> list[int]:
        """Give the ids of a conversation. Raises EngineError `template_invalid` or `picture_invalid`."""
        pictures = self._look(messages)
        text = self._working_template().render(tagged(messages), add_generation_prompt=add_generation_prompt)
        ids = picture_prompt_ids(text, [count for _, count in pictures], self.encode_text, self._bos)
        return [token if token >= 0 else -pictures[-token - 1][0] for token in ids]

    def _encode_tagged(self, text: str) -> list[int]:
        """Give the ids of a rendered text in which one id -k stands for its picture k."""
        ids: list[int] = []
        for number, piece in prompt_pieces(text):
            ids += [-number, self._bos] if number else []
            ids += self.encode_text(piece)
        return ids

    def _look(self, messages: Sequence[Message]) -> list[tuple[int, int]]:
        """Give number and count of tokens of each picture."""
        seen = [self._pictures.look(Path(path)) for message in messages for path in message.pictures]
        return [(picture.number, picture.grid.tokens) for picture in seen]


class PictureLabeller:
    """Label conversations with pictures for one model."""

    def __init__(self, plain: Labeller, bos: int, look: Callable[[Sequence[Message]], list[tuple[int, int]]]) -> None:
        """Take what labels rendered texts, the id that begins each, and what tells number and tokens of pictures."""
        self._plain, self._bos, self._look = plain, bos, look

    def label(self, messages: Sequence[Message], *, learn_from: int = 0) -> LabelledTokens:
        """Give the ids of a conversation, of which the answers among `messages[learn_from:]` are learned.

        Raises EngineError `input_invalid`, `picture_invalid` or `template_invalid`.
        """
        labelled = self._plain.label(tagged(messages), learn_from=learn_from)
        pictures = self._look(messages)
        ids, labels = [self._bos], [MASKED]
        for token, label in zip(labelled.ids, labelled.labels, strict=True):
            number, count = (token, 1) if token >= 0 else (-pictures[-token - 1][0], pictures[-token - 1][1])
            ids += [number] * count
            labels += [label] * count
        return LabelledTokens(ids, labels)


def tagged(messages: Sequence[Message]) -> list[Message]:
    """Name the pictures of a conversation in its texts, as the chat does, and give messages of text alone."""
    texts = tag_pictures([(message.content, len(message.pictures)) for message in messages])
    return [replace(message, content=text, pictures=()) for message, text in zip(messages, texts, strict=True)]
