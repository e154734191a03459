"""Write a chat as Markdown for people or as JSON for programs."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

from app.storage.conversations import Conversation
from app.storage.messages import Message

FORMAT = "phidelity-chat-1"
SPEAKERS = {"user": "You", "assistant": "Assistant", "system": "System"}


def to_markdown(conversation: Conversation, messages: list[Message]) -> str:
    """Return the shown messages as a Markdown document."""
    parts = [f"# {conversation.title}"]
    if conversation.system_prompt:
        parts.append("*System prompt:*\n\n" + conversation.system_prompt.strip())
    for message in messages:
        parts.append(f"## {SPEAKERS.get(message.role, message.role)}\n\n{message.text.strip()}")
    return "\n\n".join(parts) + "\n"


def to_json(conversation: Conversation, messages: list[Message]) -> str:
    """Return the shown messages with roles, times and statistics."""
    document = {
        "format": FORMAT,
        "title": conversation.title,
        "created_at": _moment(conversation.created_at),
        "system_prompt": conversation.system_prompt,
        "messages": [
            {
                "role": message.role,
                "content": message.text,
                "created_at": _moment(message.created_at),
                "stats": asdict(message.stats) if message.stats else None,
            }
            for message in messages
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _moment(seconds: float) -> str:
    """Write seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
