"""Turn conversations, with their pictures, into what a context evaluates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.chat.chat_format import ChatFormat
from engine.errors import EngineError
from engine.protocol import Message
from engine.vision.picture_reader import CropProgress, PictureReader
from engine.vision.prompt import picture_runs

Floats = NDArray[np.float32]


class Prompts:
    """Join a model's chat format with its eyes, where it has some.

    In the ids a picture stands as a run of one negative id, which is the same for the same picture and settings as long
    as the model is loaded, so that prompts can be compared by their ids.

    Attributes:
        chat_format: the model's chat template and tokenizer.
    """

    def __init__(self, chat_format: ChatFormat, pictures: PictureReader | None) -> None:
        """Take the chat format, and what opens and encodes pictures (None: the model sees none)."""
        self.chat_format = chat_format
        self._pictures = pictures

    @property
    def num_crops(self) -> int:
        """Give into how many crops at most the model's own processor cuts a picture; 0 where it sees none."""
        return self._pictures.num_crops if self._pictures else 0

    def encode(self, messages: Sequence[Message], num_crops: int) -> list[int]:
        """Give the ids of a conversation up to where the answer begins; raises EngineError."""
        paths = [path for message in messages for path in message.pictures]
        if not paths:
            return self.chat_format.encode(messages)
        seen = [self._reader().look(Path(path), num_crops) for path in paths]
        ids = self.chat_format.encode(messages, [picture.grid.tokens for picture in seen])
        return [token if token >= 0 else -seen[-token - 1].number for token in ids]

    def place(self, tokens: Sequence[int], paths: Sequence[str], num_crops: int) -> list[int]:
        """Give ids, in which -k stands for picture k of `paths`, as `encode` does; raises EngineError."""
        seen = [self._reader().look(Path(path), num_crops) for path in paths]
        for run in picture_runs(tokens):
            if run.number > len(seen):
                raise EngineError("bad_request", f"The id {-run.number} stands for a picture that is not given.")
            given, wanted = run.stop - run.start, seen[run.number - 1].grid.tokens
            if given != wanted:
                sentence = f"Picture {run.number} takes {wanted:,} positions, but {given:,} ids stand for it."
                raise EngineError("bad_request", sentence)
        return [token if token >= 0 else -seen[-token - 1].number for token in tokens]

    def embeddings(self, ids: Sequence[int], on_progress: CropProgress) -> dict[int, Floats]:
        """Give the embeddings of the pictures in ids, by their negative id; raises EngineError."""
        numbers = [run.number for run in picture_runs(ids)]
        if not numbers:
            return {}
        found = self._reader().embeddings(numbers, on_progress)
        return {-number: rows for number, rows in found.items()}

    def close(self) -> None:
        """Give back what the pictures needed."""
        if self._pictures:
            self._pictures.close()

    def _reader(self) -> PictureReader:
        if self._pictures is None:
            sentence = "The loaded model sees no pictures."
            raise EngineError("no_vision", sentence, "Choose a vision model, or send the message without pictures.")
        return self._pictures
