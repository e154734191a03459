"""Keep the list of chats: titles, trash, drafts, search. Their messages are in `app.storage.messages`."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Any

from app.storage import search
from app.storage.database import Database
from app.storage.messages import Messages
from app.storage.search import SearchHit
from app.storage.values import as_float, as_object, as_text

TITLE_LENGTH = 60
TRASH_SECONDS = 30 * 24 * 3600.0


@dataclass(frozen=True)
class Conversation:
    """Describe a chat; `model` is the path of the language model it was last used with."""

    id: int
    title: str
    created_at: float
    updated_at: float
    trashed_at: float | None
    model: str | None
    system_prompt: str
    sampling: Mapping[str, Any] = field(default_factory=dict)


class TimeGroup(Enum):
    """Name the headings under which the list of chats is shown."""

    TODAY = "today"
    YESTERDAY = "yesterday"
    LAST_WEEK = "last week"
    LAST_MONTH = "last month"
    OLDER = "older"


class Conversations:
    """Read and write the chats of a profile."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Use `database`; `clock` gives the seconds since 1970."""
        self._database = database
        self._clock = clock

    def create(self, title: str, *, model: str | None = None, system_prompt: str = "") -> Conversation:
        """Start a chat."""
        now = self._clock()
        with self._database.transaction() as db:
            conversation_id = db.execute(
                "INSERT INTO conversations (title, created_at, updated_at, model, system_prompt)"
                " VALUES (?, ?, ?, ?, ?)",
                (title, now, now, model, system_prompt),
            ).lastrowid
        assert conversation_id is not None
        return Conversation(conversation_id, title, now, now, None, model, system_prompt)

    def branch(self, messages: Messages, message_id: int) -> Conversation | None:
        """Copy a message with all before it into a new chat; None if the message is gone."""
        message = messages.get(message_id)
        origin = self.get(message.conversation_id) if message else None
        if origin is None:
            return None
        with self._database.transaction():
            copy = self.create(origin.title, model=origin.model, system_prompt=origin.system_prompt)
            self.set_sampling(copy.id, origin.sampling)
            messages.copy_path(message_id, copy.id)
        return self.get(copy.id)

    def get(self, conversation_id: int) -> Conversation | None:
        """Return a chat, or None if there is none with this number."""
        rows = self._conversations("WHERE id = ?", conversation_id)
        return rows[0] if rows else None

    def page(self, limit: int = 50, before: Conversation | None = None) -> list[Conversation]:
        """Return the chats that were used last, or those just older than `before`."""
        if before is None:
            return self._conversations("WHERE trashed_at IS NULL ORDER BY updated_at DESC, id DESC LIMIT ?", limit)
        return self._conversations(
            "WHERE trashed_at IS NULL AND (updated_at, id) < (?, ?) ORDER BY updated_at DESC, id DESC LIMIT ?",
            before.updated_at,
            before.id,
            limit,
        )

    def rename(self, conversation_id: int, title: str) -> None:
        """Change the title of a chat."""
        self._set(conversation_id, title=title)

    def set_model(self, conversation_id: int, model: str | None) -> None:
        """Remember the language model of a chat."""
        self._set(conversation_id, model=model)

    def set_system_prompt(self, conversation_id: int, system_prompt: str) -> None:
        """Remember the system prompt of a chat."""
        self._set(conversation_id, system_prompt=system_prompt)

    def set_sampling(self, conversation_id: int, sampling: Mapping[str, Any]) -> None:
        """Remember the sampling values of a chat that differ from the settings, and its adapter."""
        self._set(conversation_id, sampling=json.dumps(dict(sampling)))

    def trash(self, conversation_id: int) -> None:
        """Move a chat to the trash, from which `restore` brings it back."""
        self._set(conversation_id, trashed_at=self._clock())

    def restore(self, conversation_id: int) -> None:
        """Bring a chat back from the trash."""
        self._set(conversation_id, trashed_at=None)

    def trashed(self) -> list[Conversation]:
        """Return what is in the trash, latest first."""
        return self._conversations("WHERE trashed_at IS NOT NULL ORDER BY trashed_at DESC, id DESC")

    def delete(self, conversation_id: int) -> None:
        """Remove a chat and its messages for good."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))

    def empty_trash(self, older_than_seconds: float = TRASH_SECONDS) -> int:
        """Remove for good what has been in the trash that long, and return how many chats that were."""
        with self._database.transaction() as db:
            limit = self._clock() - older_than_seconds
            return db.execute("DELETE FROM conversations WHERE trashed_at <= ?", (limit,)).rowcount

    def search(self, query: str, limit: int = 50) -> list[SearchHit]:
        """Find chats by the words of their titles and messages; the trash is left out."""
        indexed = self._database.has_search_index
        return search.find(self._database.connection, query, indexed=indexed, limit=limit)

    def draft(self, conversation_id: int | None) -> str:
        """Return the unsent text of a chat, or with None that of the chat not yet started."""
        rows = self._database.rows("SELECT text FROM drafts WHERE conversation_id = ?", conversation_id or 0)
        return as_text(rows[0][0]) if rows else ""

    def save_draft(self, conversation_id: int | None, text: str) -> None:
        """Keep the unsent text of a chat; an empty text forgets it."""
        with self._database.transaction() as db:
            if text:
                db.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?)", (conversation_id or 0, text))
            else:
                db.execute("DELETE FROM drafts WHERE conversation_id = ?", (conversation_id or 0,))

    def _set(self, conversation_id: int, **columns: object) -> None:
        """Change columns of a chat without moving it in the list."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        with self._database.transaction() as db:
            db.execute(f"UPDATE conversations SET {assignments} WHERE id = ?", (*columns.values(), conversation_id))

    def _conversations(self, condition: str, *arguments: object) -> list[Conversation]:
        """Read the chats that meet a condition."""
        columns = "id, title, created_at, updated_at, trashed_at, model, system_prompt, sampling"
        rows = self._database.rows(f"SELECT {columns} FROM conversations {condition}", *arguments)
        return [_conversation(row) for row in rows]


def title_from(text: str) -> str:
    """Make a title of the first line with words in it, cut at a word."""
    line = next((line.strip(" #>*-\t") for line in text.splitlines() if line.strip(" #>*-\t")), "")
    if len(line) <= TITLE_LENGTH:
        return line
    cut = line[:TITLE_LENGTH].rsplit(maxsplit=1)
    return (cut[0] if len(cut) == 2 else line[:TITLE_LENGTH]) + "…"


def group_by_time(
    conversations: Iterable[Conversation], now: float | None = None
) -> list[tuple[TimeGroup, list[Conversation]]]:
    """Put chats, newest first, under headings by local calendar days; empty groups are left out."""
    today = datetime.fromtimestamp(time.time() if now is None else now).date()
    groups: dict[TimeGroup, list[Conversation]] = {}
    for conversation in conversations:
        groups.setdefault(_group(conversation.updated_at, today), []).append(conversation)
    return [(group, groups[group]) for group in TimeGroup if group in groups]


def _group(moment: float, today: date) -> TimeGroup:
    """Name the heading for a moment."""
    try:
        days = (today - datetime.fromtimestamp(moment).date()).days
    except (ValueError, OverflowError, OSError):
        return TimeGroup.OLDER
    limits = ((0, TimeGroup.TODAY), (1, TimeGroup.YESTERDAY), (7, TimeGroup.LAST_WEEK), (30, TimeGroup.LAST_MONTH))
    return next((group for limit, group in limits if days <= limit), TimeGroup.OLDER)


def _conversation(row: tuple[Any, ...]) -> Conversation:
    """Read a row; a value of the wrong kind is replaced, so that the chat can always be opened."""
    identity, title, created_at, updated_at, trashed_at, model, system_prompt, sampling = row
    return Conversation(
        id=int(identity),
        title=as_text(title),
        created_at=as_float(created_at) or 0.0,
        updated_at=as_float(updated_at) or 0.0,
        trashed_at=as_float(trashed_at),
        model=None if model is None else as_text(model),
        system_prompt=as_text(system_prompt),
        sampling=as_object(sampling),
    )
