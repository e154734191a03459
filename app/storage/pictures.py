"""Keep which pictures messages and drafts show, in order; their files lie in a folder beside the database.

A picture is stored once, under the SHA-256 of its bytes, however many messages refer to it. What nothing refers to any
more goes with `sweep`.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.storage.database import Database
from app.storage.values import as_int, as_text
from engine.pictures.stored_picture import StoredPicture, digest_of_file

FOLDER = "pictures"
COLUMNS = "p.digest, p.suffix, p.width, p.height, p.fast_tokens, p.fine_tokens, r.name, r.alt_text"


@dataclass(frozen=True)
class AttachedPicture:
    """Refer to a picture; `name` is what its file was called, `alt_text` says in words what is to be seen."""

    stored: StoredPicture
    folder: Path
    name: str
    alt_text: str

    @property
    def file(self) -> Path:
        """Return the file for the engine: the bytes as they came, which the window never opens itself."""
        return self.stored.file(self.folder)

    @property
    def thumbnail(self) -> Path:
        """Return the small PNG."""
        return self.stored.thumbnail(self.folder)

    @property
    def view(self) -> Path:
        """Return the PNG for looking at the picture."""
        return self.stored.view(self.folder)


class Pictures:
    """Read and write the pictures of a profile's messages and drafts."""

    def __init__(self, database: Database) -> None:
        """Use `database`."""
        self._database = database

    @property
    def folder(self) -> Path:
        """Return the folder of the files."""
        return self._database.path.with_name(FOLDER)

    def of_chat(self, conversation_id: int) -> dict[int, tuple[AttachedPicture, ...]]:
        """Return the pictures of a chat's messages by message."""
        condition = "r.message_id IN (SELECT id FROM messages WHERE conversation_id = ?)"
        return self._references("message_pictures", "message_id", condition, conversation_id)

    def of_message(self, message_id: int) -> tuple[AttachedPicture, ...]:
        """Return the pictures of one message."""
        return self._references("message_pictures", "message_id", "r.message_id = ?", message_id).get(message_id, ())

    def attach(self, message_id: int, pictures: Sequence[AttachedPicture]) -> None:
        """Give pictures to a message that has none yet."""
        self._add("message_pictures", "message_id", message_id, pictures)

    def draft(self, conversation_id: int | None) -> tuple[AttachedPicture, ...]:
        """Return the unsent pictures of a chat, or with None those of the chat not yet started."""
        owner = conversation_id or 0
        return self._references("draft_pictures", "conversation_id", "r.conversation_id = ?", owner).get(owner, ())

    def save_draft(self, conversation_id: int | None, pictures: Sequence[AttachedPicture]) -> None:
        """Keep the unsent pictures of a chat in place of those kept before."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM draft_pictures WHERE conversation_id = ?", (conversation_id or 0,))
            self._add("draft_pictures", "conversation_id", conversation_id or 0, pictures)

    def sweep(self) -> int:
        """Delete the pictures that no message and no draft shows, and return how many files went.

        Call it while no picture is on its way in: one that was taken in and is in no draft yet would go too.
        """
        with self._database.transaction() as db:
            used = "SELECT digest FROM message_pictures UNION SELECT digest FROM draft_pictures"
            db.execute(f"DELETE FROM pictures WHERE digest NOT IN ({used})")
            kept = {as_text(row[0]) for row in db.execute("SELECT digest FROM pictures")}
        return sum(_delete(path) for path in _files(self.folder) if _is_left_over(path, kept))

    def _add(self, table: str, owner: str, owner_id: int, pictures: Sequence[AttachedPicture]) -> None:
        if not pictures:
            return
        with self._database.transaction() as db:
            for position, attached in enumerate(pictures):
                stored = attached.stored
                sizes = (stored.width, stored.height, stored.fast_tokens, stored.fine_tokens)
                db.execute(
                    "INSERT OR IGNORE INTO pictures VALUES (?, ?, ?, ?, ?, ?)", (stored.digest, stored.suffix, *sizes)
                )
                db.execute(
                    f"INSERT INTO {table} ({owner}, position, digest, name, alt_text) VALUES (?, ?, ?, ?, ?)",
                    (owner_id, position, stored.digest, attached.name, attached.alt_text),
                )

    def _references(
        self, table: str, owner: str, condition: str, argument: int
    ) -> dict[int, tuple[AttachedPicture, ...]]:
        """Read the pictures whose references meet a condition, by owner and in order."""
        found: dict[int, list[AttachedPicture]] = defaultdict(list)
        query = (
            f"SELECT r.{owner}, {COLUMNS} FROM {table} r JOIN pictures p ON p.digest = r.digest"
            f" WHERE {condition} ORDER BY r.{owner}, r.position"
        )
        for owner_id, *values in self._database.rows(query, argument):
            found[owner_id].append(_attached(values, self.folder))
        return {owner_id: tuple(pictures) for owner_id, pictures in found.items()}


def _attached(values: list[Any], folder: Path) -> AttachedPicture:
    """Read a row; a value of the wrong kind is replaced, so that the chat can always be opened."""
    digest, suffix, *numbers, name, alt_text = values
    width, height, fast_tokens, fine_tokens = (as_int(number) or 0 for number in numbers)
    stored = StoredPicture(as_text(digest), as_text(suffix), width, height, fast_tokens, fine_tokens)
    return AttachedPicture(stored, folder, as_text(name), as_text(alt_text))


def _files(folder: Path) -> Iterable[Path]:
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return []


def _is_left_over(path: Path, kept: set[str]) -> bool:
    """Tell whether a file of the folder is ours and of no use; files of others are left alone."""
    digest = digest_of_file(path)
    return digest is not None and (digest not in kept or path.suffix == ".part")


def _delete(path: Path) -> int:
    try:
        path.unlink()
    except OSError:  # it goes with the next sweep
        return 0
    return 1
