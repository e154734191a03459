"""Make training data of chosen chats."""

import json
from collections.abc import Sequence
from pathlib import Path

from app.storage.conversations import Conversation
from app.storage.messages import Message
from engine.data.example import Example
from engine.data.from_chat import Chat, ChatChoice, ChatMessage, chat_examples
from engine.errors import EngineError
from engine.protocol import Role

ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
CHAT_FILE = "my-chats.jsonl"


def as_chat(conversation: Conversation, path: Sequence[Message]) -> Chat:
    """Put a stored chat, as it is shown, into the words of training data."""
    messages = [
        ChatMessage(
            message.id,
            message.parent_id,
            ROLES[message.role],
            message.text,
            finished=not message.streaming and (message.stats is None or message.stats.finish_reason == "stop"),
        )
        for message in path
        if message.role in ROLES
    ]
    return Chat(conversation.id, tuple(messages), conversation.system_prompt)


def write_chats(chats: Sequence[Chat], folder: Path) -> Path:
    """Write the conversations of some chats. Raises EngineError when none has a finished answer, or the disk fails."""
    items = chat_examples(chats, ChatChoice(conversations=True))
    rows = [item.to_row() for item in items if isinstance(item, Example)]
    if not rows:
        message = "None of these chats has a finished answer."
        raise EngineError("input_invalid", message, "Choose chats with answers that you like.")
    file = folder / CHAT_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    except OSError as fault:
        message = f"The chats cannot be copied ({fault.strerror})."
        raise EngineError("disk_full", message, "Free some space and try again.") from fault
    return file
