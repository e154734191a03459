"""Open the SQLite database of a profile, and keep what can be read of a damaged one."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from errno import ENOSPC
from pathlib import Path
from typing import Any

from app.storage import search
from app.storage.errors import StorageError, is_damage, storage_error
from app.storage.migrations import MIGRATIONS, migrate, refuse_newer
from app.storage.salvage import salvage

SIDE_FILES = ("", "-wal", "-shm")


class Database:
    """Hold the one connection of a process to the database; use it from the thread that opened it."""

    def __init__(self, connection: sqlite3.Connection, path: Path, has_search_index: bool) -> None:
        """Wrap an open connection; `notice` is a sentence for the user about what happened on opening, if anything."""
        self.connection = connection
        self.path = path
        self.has_search_index = has_search_index
        self.notice: str | None = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block whole or not at all; a fault of SQLite becomes a `StorageError`. Blocks may be nested."""
        if self.connection.in_transaction:
            yield self.connection
            return
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except sqlite3.Error as fault:
            raise storage_error(fault) from fault
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query; a fault of SQLite becomes a `StorageError`."""
        try:
            return self.connection.execute(query, arguments).fetchall()
        except sqlite3.Error as fault:
            raise storage_error(fault) from fault

    def close(self) -> None:
        """Close the connection; SQLite folds its log into the file."""
        self.connection.close()


def open_database(path: Path, migrations: Sequence[str] = MIGRATIONS) -> Database:
    """Open or create the database at `path`, checked and migrated.

    A damaged file is moved aside, what is readable of it goes into a new one, and the result's `notice` says so.
    Raise `StorageError` when the file belongs to a newer version or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise StorageError(
            "storage_read_only", f"The data folder cannot be made ({fault.strerror}).", "Choose another profile folder."
        ) from fault
    try:
        return _open_checked(path, migrations)
    except sqlite3.Error as fault:
        if not is_damage(fault):
            raise storage_error(fault) from fault
    return _open_recovered(path, migrations)


def _open_checked(path: Path, migrations: Sequence[str]) -> Database:
    """Connect, look for damage, migrate, and see to the search index."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # One undecodable text must not make its whole chat unreadable.
        connection.text_factory = _decode
        connection.execute("PRAGMA busy_timeout = 5000")
        refuse_newer(connection, migrations)
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL mode a commit survives a kill of the process; NORMAL leaves out the wait for the disk at each one.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        migrate(connection, path, migrations)
        return Database(connection, path, has_search_index=search.prepare(connection))
    except BaseException:
        connection.close()
        raise


def _decode(value: bytes) -> str:
    """Decode a stored text, marking bytes that are not UTF-8."""
    return value.decode("utf-8", "replace")


def _open_recovered(path: Path, migrations: Sequence[str]) -> Database:
    """Move a damaged database aside and fill a new one with what is readable of it; on a fault move it back."""
    kept = path.with_name(f"{path.name}.damaged-{datetime.now():%Y%m%d-%H%M%S}")
    database, aside = None, False
    try:
        _move(path, kept)
        aside = True
        database = _open_checked(path, migrations)
        recovered = salvage(kept, database.connection)
    except (sqlite3.Error, StorageError, OSError) as fault:
        if database is not None:
            database.close()
        if aside:
            # A log of the new database must not be taken for one of the old.
            for suffix in SIDE_FILES:
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        _move(kept, path)
        raise _recovery_error(fault) from fault
    database.notice = (
        f"The chat file was damaged. {recovered.conversations} chats with {recovered.messages} messages were "
        f"recovered; the damaged file is kept as {kept.name}."
    )
    copies = sorted(path.parent.glob(f"{path.name}.v*.backup*"), key=lambda copy: copy.stat().st_mtime)
    if copies:
        database.notice += f" An older copy, from before an update, is {copies[-1].name}."
    return database


def _recovery_error(fault: Exception) -> StorageError:
    """Say in words why a damaged database could not be recovered; it is where it was."""
    message = "The chat file is damaged, and what is readable of it could not be saved"
    full = getattr(fault, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or getattr(fault, "errno", None) == ENOSPC
    if full:
        return StorageError("disk_full", f"{message}: the disk is full.", "Free some space and start again.")
    return StorageError(
        "storage_damaged",
        f"{message} ({fault}).",
        "Close other windows of Phidelity, check the permissions of the data folder, and start again.",
    )


def _move(path: Path, target: Path) -> None:
    """Rename a database with its log."""
    for suffix in SIDE_FILES:
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.replace(target.with_name(target.name + suffix))
