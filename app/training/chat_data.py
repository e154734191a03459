"""Make training data of chosen chats."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.storage.conversations import Conversation
from app.storage.messages import Message
from app.storage.votes import Vote
from engine.data.example import Example
from engine.data.from_chat import Chat, ChatChoice, ChatMessage, ChatVote, chat_examples
from engine.data.picture_copies import copy_picture
from engine.errors import EngineError
from engine.protocol import Role

ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}

ChatDataKind = Literal["conversations", "edits", "preferences", "preferences and edits"]

FILES: dict[ChatDataKind, str] = {
    "conversations": "my-chats.jsonl",
    "edits": "my-edits.jsonl",
    "preferences": "my-preferences.jsonl",
    "preferences and edits": "my-preferences.jsonl",
}
CHOICES: dict[ChatDataKind, ChatChoice] = {
    "conversations": ChatChoice(conversations=True),
    "edits": ChatChoice(edited_conversations=True),
    "preferences": ChatChoice(voted_pairs=True, rated_pairs=True),
    "preferences and edits": ChatChoice(voted_pairs=True, rated_pairs=True, edited_pairs=True),
}
NOTHING: dict[ChatDataKind, tuple[str, str]] = {
    "conversations": (
        "None of these chats has a finished answer that is not rated bad.",
        "Choose chats with answers that you like.",
    ),
    "edits": ("None of these chats has an answer that you edited.", "Edit an answer with the menu below it."),
    "preferences": (
        "None of these chats says which of two answers is better.",
        "Compare versions of an answer, or rate one good and another bad.",
    ),
    "preferences and edits": (
        "None of these chats says which of two answers is better.",
        "Compare versions of an answer, rate them, or edit one.",
    ),
}


@dataclass(frozen=True)
class ChatCounts:
    """Count what chats give of each kind of data."""

    counts: Mapping[ChatDataKind, int] = field(default_factory=dict)

    def __add__(self, other: "ChatCounts") -> "ChatCounts":
        return ChatCounts({kind: self.of(kind) + other.of(kind) for kind in FILES})

    def of(self, kind: ChatDataKind) -> int:
        """Return the count of one kind."""
        return self.counts.get(kind, 0)


def as_chat(
    conversation: Conversation, messages: Sequence[Message], shown: Collection[int], votes: Sequence[Vote] = ()
) -> Chat:
    """Put a stored chat into the words of training data; `shown` are the numbers of the messages on display."""
    turns = [
        ChatMessage(
            message.id,
            message.parent_id,
            ROLES[message.role],
            message.text,
            shown=message.id in shown,
            rating=message.rating,
            edited_from=message.edited_from,
            pictures=tuple(str(picture.file) for picture in message.pictures if picture.file.is_file()),
            finished=not message.streaming and (message.stats is None or message.stats.finish_reason == "stop"),
        )
        for message in messages
        if message.role in ROLES
    ]
    chosen = tuple(ChatVote(vote.chosen_id, vote.rejected_id) for vote in votes if not vote.equal)
    return Chat(conversation.id, tuple(turns), conversation.system_prompt, chosen)


def count_chat(chat: Chat) -> ChatCounts:
    """Count what a chat gives."""
    return ChatCounts({kind: len(_rows([chat], kind)) for kind in FILES})


def write_chats(chats: Sequence[Chat], folder: Path, kind: ChatDataKind = "conversations") -> Path:
    """Write what some chats give of a kind, with copies of their pictures: the data stays when the chats go.

    It takes the place of what was written before. Raises EngineError when there is nothing, or the disk fails.
    """
    rows = _rows(chats, kind)
    if not rows:
        raise EngineError("input_invalid", *NOTHING[kind])
    file = folder / FILES[kind]
    pictures, partial = file.with_name(f"{file.stem}-pictures"), file.with_name(file.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for row in rows:
            if "images" in row:
                copies = [copy_picture(Path(picture), pictures) for picture in row["images"]]
                row["images"] = [copy.relative_to(folder).as_posix() for copy in copies]
        partial.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        partial.replace(file)
        _keep_only(pictures, {Path(picture).name for row in rows for picture in row.get("images", ())})
    except OSError as fault:
        message = f"The chats cannot be copied ({fault.strerror})."
        raise EngineError("disk_full", message, "Free some space and try again.") from fault
    return file


def _keep_only(folder: Path, names: Collection[str]) -> None:
    """Delete the pictures of chats that are in the data no more."""
    for path in folder.glob("*"):
        if path.name not in names:
            path.unlink()


def _rows(chats: Sequence[Chat], kind: ChatDataKind) -> list[dict[str, Any]]:
    return [item.to_row() for item in chat_examples(chats, CHOICES[kind]) if isinstance(item, Example)]
