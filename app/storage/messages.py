"""Keep the messages of a chat: a tree, of which one path from a first message to a leaf is shown.

Regenerating or editing adds a sibling and never erases: a message points to its parent and to the child that is
selected, a chat to its selected first message. An answer is stored before it is generated and grows by
`append_text`; every piece is committed when the call returns, so a killed process loses nothing that was shown.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from app.storage.database import Database
from app.storage.pictures import AttachedPicture, Pictures
from app.storage.values import as_float, as_int, as_object, as_text

INTERRUPTED = "interrupted"
EDITED_FROM = "edited_from"
GOOD, BAD, UNRATED = 1, -1, 0
TIMINGS = "prompt_tokens, cached_tokens, completion_tokens, tokens_per_second, first_token_ms"
STATS = f"finish_reason, model, {TIMINGS}, notice"
COLUMNS = (
    f"id, conversation_id, parent_id, selected_child, role, text, created_at, streaming, rating, made_with, {STATS}"
)


@dataclass(frozen=True)
class AnswerStats:
    """Say how an answer ended and what it cost, as the engine reported it.

    `finish_reason` is the engine's (`stop`, `length`, `cancelled`), the code of an error, or `interrupted`;
    `notice` is a sentence to show below the answer.
    """

    finish_reason: str
    model: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_per_second: float | None = None
    first_token_ms: float | None = None
    notice: str | None = None


@dataclass(frozen=True)
class Message:
    """Hold one message; `stats` is there once an answer has ended, `version` of `versions` counts its siblings.

    `rating` is GOOD, BAD or UNRATED; `made_with` holds the sampling values of an answer and its adapters, or for one
    whose words the user has changed the number of the answer that the model wrote.
    """

    id: int
    conversation_id: int
    parent_id: int | None
    role: str
    text: str
    created_at: float
    streaming: bool
    stats: AnswerStats | None
    version: int = 1
    versions: int = 1
    pictures: tuple[AttachedPicture, ...] = ()
    rating: int = UNRATED
    made_with: Mapping[str, Any] = field(default_factory=dict)

    @property
    def edited_from(self) -> int | None:
        """Return the number of the answer that the model wrote, None where the user has not changed it."""
        return as_int(self.made_with.get(EDITED_FROM))


class Messages:
    """Read and write the messages of a profile's chats."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Use `database`; `clock` gives the seconds since 1970."""
        self._database = database
        self._clock = clock
        self._pictures = Pictures(database)

    def path(self, conversation_id: int) -> list[Message]:
        """Return the shown messages of a chat from the first to the last."""
        return self._tree(conversation_id).path()

    def all_of(self, conversation_id: int) -> list[Message]:
        """Return every message of a chat, versions that are not shown included, in the order of their making."""
        return self._tree(conversation_id).every()

    def get(self, message_id: int) -> Message | None:
        """Return one message, or None if there is none with this number."""
        rows = self._database.rows(f"SELECT {COLUMNS} FROM messages WHERE id = ?", message_id)
        if not rows:
            return None
        message = _message(rows[0])
        text = message.text + self._pieces("message_id = ?", message_id).get(message_id, "")
        siblings = self._siblings(message)
        place = siblings.index(message_id) + 1
        pictures = self._pictures.of_message(message_id)
        return replace(message, text=text, version=place, versions=len(siblings), pictures=pictures)

    def versions(self, message_id: int) -> list[int]:
        """Return the numbers of a message and its siblings, oldest first."""
        message = self.get(message_id)
        return self._siblings(message) if message else []

    def add(
        self,
        conversation_id: int,
        parent_id: int | None,
        role: str,
        text: str = "",
        *,
        streaming: bool = False,
        model: str | None = None,
        made_with: Mapping[str, Any] | None = None,
        pictures: Sequence[AttachedPicture] = (),
    ) -> Message:
        """Add a message below `parent_id` (None: a first message) and show it.

        With the parent of an existing message this makes a new version of it. `streaming` marks an answer that
        `append_text` will write and `finish` will end.
        """
        now = self._clock()
        with self._database.transaction() as db:
            message_id = db.execute(
                "INSERT INTO messages (conversation_id, parent_id, role, text, created_at, streaming, model, made_with)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (conversation_id, parent_id, role, text, now, streaming, model, json.dumps(dict(made_with or {}))),
            ).lastrowid
            assert message_id is not None
            self._pictures.attach(message_id, pictures)
            self._select(conversation_id, parent_id, message_id)
            db.execute("UPDATE conversations SET updated_at = ? WHERE id = ?", (now, conversation_id))
        message = self.get(message_id)
        assert message is not None
        return message

    def add_edited(self, message_id: int, text: str) -> Message | None:
        """Add an answer in the user's words as a version of one, and show it; None where there is no such answer."""
        answer = self.get(message_id)
        if answer is None or answer.role != "assistant":
            return None
        made_with = {EDITED_FROM: answer.edited_from or answer.id}
        return self.add(answer.conversation_id, answer.parent_id, answer.role, text, made_with=made_with)

    def append_text(self, message_id: int, text: str) -> None:
        """Write the next piece of a streaming answer; it is safe from a kill when this returns."""
        with self._database.transaction() as db:
            db.execute("INSERT INTO pieces (message_id, text) VALUES (?, ?)", (message_id, text))

    def finish(self, message_id: int, stats: AnswerStats) -> None:
        """End a streaming answer and note how it went."""
        with self._database.transaction() as db:
            written = self._pieces("message_id = ?", message_id).get(message_id, "")
            db.execute("UPDATE messages SET text = text || ? WHERE id = ?", (written, message_id))
            db.execute("DELETE FROM pieces WHERE message_id = ?", (message_id,))
            db.execute(
                f"UPDATE messages SET streaming = 0, ({STATS}) = (?, coalesce(?, model), ?, ?, ?, ?, ?, ?)"
                " WHERE id = ?",
                (*astuple(stats), message_id),
            )

    def recover_interrupted(self) -> int:
        """Close the answers that a killed window left unfinished, with all their text, and return how many.

        Call it once at start, before anything streams.
        """
        with self._database.transaction() as db:
            interrupted = [row[0] for row in db.execute("SELECT id FROM messages WHERE streaming = 1")]
            for message_id in interrupted:
                self.finish(message_id, AnswerStats(INTERRUPTED))
        return len(interrupted)

    def select_version(self, message_id: int) -> None:
        """Show this version of a message, with what follows it."""
        message = self.get(message_id)
        if message is not None:
            with self._database.transaction():
                self._select(message.conversation_id, message.parent_id, message_id)

    def rate(self, message_id: int, rating: int) -> None:
        """Note what the user thinks of an answer: GOOD, BAD or UNRATED."""
        with self._database.transaction() as db:
            db.execute("UPDATE messages SET rating = ? WHERE id = ?", (rating, message_id))

    def copy_path(self, message_id: int, conversation_id: int) -> None:
        """Copy the messages from the first one down to this one into an empty chat."""
        message = self.get(message_id)
        if message is None:
            return
        parent_id: int | None = None
        with self._database.transaction() as db:
            for step in self._tree(message.conversation_id).path_to(message_id):
                copy = self.add(conversation_id, parent_id, step.role, step.text, pictures=step.pictures)
                columns = f"created_at, rating, made_with, {STATS}"
                db.execute(
                    f"UPDATE messages SET ({columns}) = (SELECT {columns} FROM messages WHERE id = ?) WHERE id = ?",
                    (step.id, copy.id),
                )
                parent_id = copy.id

    def _select(self, conversation_id: int, parent_id: int | None, message_id: int) -> None:
        """Make a message the shown child of its parent."""
        table, owner = ("conversations", conversation_id) if parent_id is None else ("messages", parent_id)
        self._database.connection.execute(f"UPDATE {table} SET selected_child = ? WHERE id = ?", (message_id, owner))

    def _siblings(self, message: Message) -> list[int]:
        """Return the children of a message's parent in the order of their making."""
        rows = self._database.rows(
            "SELECT id FROM messages WHERE parent_id IS ? AND conversation_id = ? ORDER BY id",
            message.parent_id,
            message.conversation_id,
        )
        return [int(row[0]) for row in rows]

    def _pieces(self, condition: str, argument: int) -> dict[int, str]:
        """Return what streaming answers have got so far, by message."""
        written: dict[int, list[str]] = defaultdict(list)
        query = f"SELECT message_id, text FROM pieces WHERE {condition} ORDER BY id"
        for message_id, text in self._database.rows(query, argument):
            written[message_id].append(as_text(text))
        return {message_id: "".join(texts) for message_id, texts in written.items()}

    def _tree(self, conversation_id: int) -> "_Tree":
        """Read all messages of a chat."""
        db = self._database
        rows = db.rows(f"SELECT {COLUMNS} FROM messages WHERE conversation_id = ? ORDER BY id", conversation_id)
        of_chat = "message_id IN (SELECT id FROM messages WHERE conversation_id = ?)"
        chat = db.rows("SELECT selected_child FROM conversations WHERE id = ?", conversation_id)
        pieces, pictures = self._pieces(of_chat, conversation_id), self._pictures.of_chat(conversation_id)
        return _Tree(rows, pieces, pictures, chat[0][0] if chat else None)


class _Tree:
    """Order the rows of a chat; a message whose parent was lost follows the message before it."""

    def __init__(
        self,
        rows: list[tuple[Any, ...]],
        pieces: dict[int, str],
        pictures: Mapping[int, tuple[AttachedPicture, ...]],
        selected_root: object,
    ) -> None:
        self._messages: dict[int, Message] = {}
        self._children: dict[int | None, list[int]] = defaultdict(list)
        self._selected: dict[int | None, object] = {None: selected_root}
        before: int | None = None
        for row in rows:
            message = _message(row)
            # Parents are made before their children: any other parent is damage, and could be a circle.
            if message.parent_id is not None and message.parent_id not in self._messages:
                message = replace(message, parent_id=before)
            if message.id in pieces:
                message = replace(message, text=message.text + pieces[message.id])
            if message.id in pictures:
                message = replace(message, pictures=pictures[message.id])
            self._messages[message.id] = message
            self._children[message.parent_id].append(message.id)
            self._selected[message.id] = row[3]
            before = message.id

    def path(self) -> list[Message]:
        """Follow the selected children, or the newest where none is selected, from the top down."""
        steps: list[Message] = []
        at: int | None = None
        while siblings := self._children.get(at):
            selected = self._selected.get(at)
            at = selected if isinstance(selected, int) and selected in siblings else siblings[-1]
            steps.append(self._numbered(at))
        return steps

    def every(self) -> list[Message]:
        """Return all messages in the order of their making."""
        return [self._numbered(message_id) for message_id in self._messages]

    def path_to(self, message_id: int) -> list[Message]:
        """Follow the parents of a message and return the way from the first message to it."""
        steps: list[Message] = []
        at: int | None = message_id
        while at is not None:
            steps.append(self._numbered(at))
            at = self._messages[at].parent_id
        return steps[::-1]

    def _numbered(self, message_id: int) -> Message:
        """Return a message that knows its place among its siblings."""
        message = self._messages[message_id]
        siblings = self._children[message.parent_id]
        if len(siblings) == 1:
            return message
        return replace(message, version=siblings.index(message_id) + 1, versions=len(siblings))


def _message(row: tuple[Any, ...]) -> Message:
    """Read a row; a value of the wrong kind is replaced, so that the chat can always be opened."""
    identity, conversation_id, parent_id, _, role, text, created_at, streaming, rating, made_with, *stats = row
    finish_reason, model, prompt_tokens, cached_tokens, completion_tokens, speed, first_token_ms, notice = stats
    return Message(
        id=int(identity),
        conversation_id=int(conversation_id),
        parent_id=as_int(parent_id),
        role=as_text(role),
        text=as_text(text),
        created_at=as_float(created_at) or 0.0,
        streaming=streaming == 1,
        rating=rating if rating in (GOOD, BAD) else UNRATED,
        made_with=as_object(made_with),
        stats=None
        if finish_reason is None
        else AnswerStats(
            finish_reason=as_text(finish_reason),
            model=None if model is None else as_text(model),
            prompt_tokens=as_int(prompt_tokens),
            cached_tokens=as_int(cached_tokens),
            completion_tokens=as_int(completion_tokens),
            tokens_per_second=as_float(speed),
            first_token_ms=as_float(first_token_ms),
            notice=None if notice is None else as_text(notice),
        ),
    )
