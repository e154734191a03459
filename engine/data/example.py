"""Hold what training learns from: conversations, preferences between answers, and texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from engine.protocol import Message

Kind = Literal["conversation", "preference", "text"]


@dataclass(frozen=True, slots=True)
class Place:
    """Say where in a file something stands."""

    file: str
    number: int
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.unit} {self.number}"


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Say in one sentence why a row cannot be used."""

    place: Place
    sentence: str


class RowError(ValueError):
    """Carry the sentence about a row that cannot be used."""


@dataclass(frozen=True, slots=True)
class Example:
    """Hold one unit of training data.

    A conversation has `messages`; a preference has the prompt in `messages` and two ways to go on, `chosen` and
    `rejected`; a text has only `text`. Pictures belong to messages, as absolute paths.
    """

    place: Place
    messages: tuple[Message, ...] = ()
    chosen: tuple[Message, ...] = ()
    rejected: tuple[Message, ...] = ()
    text: str = ""

    def __post_init__(self) -> None:
        """Refuse characters that no tokenizer can be given; raises RowError."""
        for text in self.texts():
            if "\x00" in text:
                raise RowError("The text contains a NUL character.")
            if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
                raise RowError("The text contains half a character (a lone surrogate).")

    @property
    def kind(self) -> Kind:
        """Tell which of the three it is."""
        return "preference" if self.chosen or self.rejected else "conversation" if self.messages else "text"

    @property
    def turns(self) -> tuple[Message, ...]:
        """Give every message, those of both ways to go on included."""
        return self.messages + self.chosen + self.rejected

    @property
    def pictures(self) -> tuple[str, ...]:
        """Give the paths of all pictures in order."""
        return tuple(picture for message in self.turns for picture in message.pictures)

    def texts(self) -> Iterator[str]:
        """Give every text in order."""
        if self.text:
            yield self.text
        for message in self.turns:
            yield message.content

    def content_hash(self) -> bytes:
        """Give 16 bytes that depend on the content alone, not on where it stands."""
        parts = [_plain(turns) for turns in (self.messages, self.chosen, self.rejected)]
        document = json.dumps([*parts, self.text], ensure_ascii=False)
        return hashlib.blake2b(document.encode(), digest_size=16).digest()

    def to_row(self) -> dict[str, Any]:
        """Give the row of a JSONL file that reads back as this example."""
        if self.kind == "text":
            return {"text": self.text}
        if self.kind == "conversation":
            return _with_pictures({"messages": _rows(self.messages)}, self.pictures)
        row = {name: _rows(getattr(self, name)) for name in ("chosen", "rejected")}
        return _with_pictures({"prompt": _rows(self.messages), **row}, self.pictures)


def _plain(turns: tuple[Message, ...]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(message.role, message.content, message.pictures) for message in turns]


def _rows(turns: tuple[Message, ...]) -> list[dict[str, str]]:
    return [
        {"role": message.role, "content": f"{'<image>' * len(message.pictures)}{message.content}"} for message in turns
    ]


def _with_pictures(row: dict[str, Any], pictures: tuple[str, ...]) -> dict[str, Any]:
    return row | ({"images": list(pictures)} if pictures else {})
