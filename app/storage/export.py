"""Write a chat as Markdown for people or as JSON for programs."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

from app.storage.conversations import Conversation
from app.storage.messages import BAD, GOOD, Message
from app.storage.pictures import AttachedPicture

FORMAT = "phidelity-chat-1"
SPEAKERS = {"user": "You", "assistant": "Assistant", "system": "System"}
RATINGS = {GOOD: "good", BAD: "bad"}


def to_markdown(conversation: Conversation, messages: list[Message]) -> str:
    """Return the shown messages as a Markdown document."""
    parts = [f"# {conversation.title}"]
    if conversation.system_prompt:
        parts.append("*System prompt:*\n\n" + conversation.system_prompt.strip())
    for message in messages:
        parts.append(f"## {SPEAKERS.get(message.role, message.role)}")
        parts += [f"*Picture: {_described(picture)}*" for picture in message.pictures]
        parts += [message.text.strip()] if message.text.strip() or not message.pictures else []
        parts += ["*Edited by you.*"] if message.edited_from is not None else []
        parts += [f"*Rated {RATINGS[message.rating]}.*"] if message.rating in RATINGS else []
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
                "rating": RATINGS.get(message.rating),
                "edited": message.edited_from is not None,
                "pictures": [
                    {"name": picture.name, "alt_text": picture.alt_text, "sha256": picture.stored.digest}
                    for picture in message.pictures
                ],
            }
            for message in messages
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _described(picture: AttachedPicture) -> str:
    """Name a picture, with its file's name where the description is another one."""
    text = " ".join(picture.alt_text.split())
    return picture.name if text in ("", picture.name) else f"{text} ({picture.name})"


def _moment(seconds: float) -> str:
    """Write seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
