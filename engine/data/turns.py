"""Read the turns of conversations however a file spells roles and contents."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.data.example import RowError
from engine.protocol import Message, Role

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    # What a tool answers is put to the model as the user's turn: Phi-3 knows no other.
    "tool": "user",
    "function": "user",
    "observation": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
}
PICTURE_MARK = "<image>"

_MARKED = re.compile(
    r"(?:^|\s)###\s*(?P<hash>Human|User|Instruction|Assistant|Response|System)\s*:"
    r"|(?:^|\n)\n*(?P<plain>Human|Assistant)\s*:"
)
_MARKED_ROLES: dict[str, Role] = {
    "Human": "user",
    "User": "user",
    "Instruction": "user",
    "System": "system",
    "Assistant": "assistant",
    "Response": "assistant",
}


def text_of(value: Any, what: str) -> str:
    """Give a cell as text, an empty one as ""; raises RowError when it is something else."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise RowError(f"`{what}` is no text.")


def turns_of(value: Any, what: str, folder: Path) -> tuple[Message, ...]:
    """Read a list of turns, whose pictures are relative to `folder`; raises RowError."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise RowError(f"`{what}` is no list of turns.")
    if not value:
        raise RowError(f"`{what}` has no turns.")
    return tuple(_turn(turn, folder) for turn in value)


def _turn(turn: Any, folder: Path) -> Message:
    if not isinstance(turn, dict):
        raise RowError("A turn is no object with a role and a text.")
    spelled = turn.get("role", turn.get("from"))
    role = ROLES.get(str(spelled).strip().lower())
    if role is None:
        raise RowError(f"A turn is by {str(spelled)[:40]!r}, which is neither system, user nor assistant.")
    content = turn.get("content", turn.get("value", turn.get("text")))
    text, pictures = _content(content, folder)
    if not text and turn.get("tool_calls"):
        text = json.dumps(turn["tool_calls"], ensure_ascii=False, default=str)
    if pictures and role != "user":
        raise RowError("A picture stands in a turn that is not the user's.")
    return Message(role, text, pictures)


def _content(content: Any, folder: Path) -> tuple[str, tuple[str, ...]]:
    """Read a text, or the list of parts that may hold pictures."""
    if not isinstance(content, list):
        return text_of(content, "content"), ()
    texts, pictures = [], []
    for part in content:
        if not isinstance(part, dict):
            raise RowError("A part of a turn is no object with a type.")
        if part.get("type") == "text":
            texts.append(text_of(part.get("text"), "text"))
        elif part.get("type") in ("image", "image_url"):
            pictures.append(picture_path(part.get("image_url", part.get("image", part.get("path"))), folder))
        else:
            raise RowError(f"A part of a turn is of the unknown type {str(part.get('type'))[:40]!r}.")
    return "\n".join(texts), tuple(pictures)


def picture_path(value: Any, folder: Path) -> str:
    """Give the absolute path of a picture that is there; raises RowError."""
    if isinstance(value, dict):
        value = value.get("url") or value.get("path")
    if not isinstance(value, str) or not value:
        raise RowError("A picture is not given as the path of a file.")
    if re.match(r"(https?|data):", value):
        raise RowError("A picture lies on the internet or in the row; only files are read.")
    path = folder / value.removeprefix("file://")
    try:
        found = "\x00" not in value and path.is_file()
    except OSError:
        found = False
    if not found:
        raise RowError(f"The picture {value[:200]} is not there.")
    return str(path.resolve())


def place_pictures(messages: tuple[Message, ...], pictures: Sequence[str]) -> tuple[Message, ...]:
    """Give each of the user's turns the pictures that its `<image>` marks stand for; without marks the first has all.

    Raises RowError when marks and pictures do not match.
    """
    marks = sum(message.content.count(PICTURE_MARK) for message in messages if message.role == "user")
    if not pictures and not marks:
        return messages
    if marks and marks != len(pictures):
        raise RowError(f"The row has {len(pictures)} pictures and {marks} marks {PICTURE_MARK}.")
    waiting, placed = list(pictures), []
    for message in messages:
        count = message.content.count(PICTURE_MARK) if marks else len(waiting)
        if message.role == "user" and count:
            text = re.sub(rf"\s*{PICTURE_MARK}\s*", "\n", message.content).strip() if marks else message.content
            message = Message("user", text, (*message.pictures, *waiting[:count]))
            del waiting[:count]
        placed.append(message)
    if waiting:
        raise RowError("The row has pictures and no turn of the user.")
    return tuple(placed)


def marked_turns(text: str) -> tuple[Message, ...]:
    """Read a conversation that is written as one text, with `### Human:` or `Human:` before each turn.

    Gives nothing when the text does not begin with such a mark.
    """
    found = list(_MARKED.finditer(text))
    if not found or text[: found[0].start()].strip():
        return ()
    kind = "hash" if found[0]["hash"] else "plain"
    marks = [match for match in found if match[kind]]
    ends = [match.start() for match in marks[1:]] + [len(text)]
    return tuple(
        Message(_MARKED_ROLES[mark[kind]], text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=True)
    )
