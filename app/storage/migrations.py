"""Bring a database to the current schema, one numbered step after another."""

import contextlib
import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from app.storage.errors import StorageError, is_damage, update_error

MIGRATIONS: Sequence[str] = (
    # 1: conversations, their tree of messages, drafts and model records. Times are seconds since 1970.
    """
    CREATE TABLE conversations (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        trashed_at REAL,
        model TEXT,
        system_prompt TEXT NOT NULL DEFAULT '',
        sampling TEXT NOT NULL DEFAULT '{}',
        selected_child INTEGER
    );
    CREATE INDEX conversations_by_time ON conversations (updated_at DESC, id DESC) WHERE trashed_at IS NULL;
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        parent_id INTEGER REFERENCES messages (id) ON DELETE CASCADE,
        selected_child INTEGER,
        role TEXT NOT NULL,
        text TEXT NOT NULL,
        created_at REAL NOT NULL,
        streaming INTEGER NOT NULL DEFAULT 0,
        model TEXT,
        finish_reason TEXT,
        prompt_tokens INTEGER,
        cached_tokens INTEGER,
        completion_tokens INTEGER,
        tokens_per_second REAL,
        first_token_ms REAL,
        notice TEXT
    );
    CREATE INDEX messages_by_conversation ON messages (conversation_id, id);
    CREATE INDEX messages_by_parent ON messages (parent_id);
    CREATE INDEX messages_streaming ON messages (id) WHERE streaming = 1;
    -- The pieces of an answer that is being written: appending a row costs the same however long the answer is.
    CREATE TABLE pieces (
        id INTEGER PRIMARY KEY,
        message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
        text TEXT NOT NULL
    );
    CREATE INDEX pieces_by_message ON pieces (message_id);
    -- conversation_id 0 holds the draft of a chat that does not exist yet.
    CREATE TABLE drafts (
        conversation_id INTEGER PRIMARY KEY,
        text TEXT NOT NULL
    );
    CREATE TRIGGER conversations_drop_draft AFTER DELETE ON conversations BEGIN
        DELETE FROM drafts WHERE conversation_id = old.id;
    END;
    CREATE TABLE models (
        path TEXT PRIMARY KEY,
        title TEXT,
        last_used_at REAL,
        tokens_per_second REAL,
        settings TEXT NOT NULL DEFAULT '{}'
    );
    """,
    # 2: pictures, each once under the SHA-256 of its bytes, and the messages and drafts that show them in order.
    """
    CREATE TABLE pictures (
        digest TEXT PRIMARY KEY,
        suffix TEXT NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        fast_tokens INTEGER NOT NULL,
        fine_tokens INTEGER NOT NULL
    );
    CREATE TABLE message_pictures (
        message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        digest TEXT NOT NULL REFERENCES pictures (digest),
        name TEXT NOT NULL,
        alt_text TEXT NOT NULL,
        PRIMARY KEY (message_id, position)
    );
    CREATE INDEX message_pictures_by_digest ON message_pictures (digest);
    CREATE TABLE draft_pictures (
        conversation_id INTEGER NOT NULL,
        position INTEGER NOT NULL,
        digest TEXT NOT NULL REFERENCES pictures (digest),
        name TEXT NOT NULL,
        alt_text TEXT NOT NULL,
        PRIMARY KEY (conversation_id, position)
    );
    CREATE INDEX draft_pictures_by_digest ON draft_pictures (digest);
    CREATE TRIGGER conversations_drop_draft_pictures AFTER DELETE ON conversations BEGIN
        DELETE FROM draft_pictures WHERE conversation_id = old.id;
    END;
    """,
    # 3: what the user thinks of answers (1 good, -1 bad), what answers were made with, and votes between versions.
    """
    ALTER TABLE messages ADD COLUMN rating INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN made_with TEXT NOT NULL DEFAULT '{}';
    CREATE TABLE votes (
        id INTEGER PRIMARY KEY,
        chosen_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
        rejected_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
        equal INTEGER NOT NULL,
        blind INTEGER NOT NULL,
        voted_at REAL NOT NULL
    );
    CREATE INDEX votes_by_chosen ON votes (chosen_id);
    CREATE INDEX votes_by_rejected ON votes (rejected_id);
    """,
)


def refuse_newer(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Raise `StorageError` for a database that a newer version has written; nothing is changed."""
    if _version(connection) > len(migrations):
        raise StorageError(
            "storage_newer",
            "Your chats were saved by a newer version of Phidelity.",
            "Install that version again, or start with another profile folder.",
        )


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Apply the missing migrations, all or none, after keeping a copy of `path` from before.

    The copy is named after the version that it holds and stays until the user deletes it. Raise `StorageError` when
    the database cannot be updated, which leaves it as it was; a fault of SQLite when it is damaged.
    """
    version = _version(connection)
    if version == len(migrations):
        return
    copy = None
    try:
        if version > 0:
            copy = _back_up(connection, path, version)
        _apply(connection, version, migrations)
    except (sqlite3.Error, OSError) as fault:
        if copy is not None:
            copy.unlink(missing_ok=True)
        if (version == 0 and isinstance(fault, sqlite3.Error)) or is_damage(fault):
            raise
        raise update_error(fault) from fault


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _apply(connection: sqlite3.Connection, version: int, migrations: Sequence[str]) -> None:
    """Run the missing migrations in one transaction."""
    steps = ";\n".join(migrations[version:])
    # executescript commits an open transaction first, so the transaction is part of the script.
    script = f"BEGIN IMMEDIATE;\n{steps};\nPRAGMA user_version = {len(migrations)};\nCOMMIT;"
    try:
        connection.executescript(script)
    finally:
        if connection.in_transaction:
            connection.rollback()


def _back_up(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Write a consistent copy of the whole database beside it, under a name that is free, and return its path."""
    stem = f"{path.name}.v{version}.backup"
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    out = next(target for name in names if not (target := path.with_name(name)).exists())
    partial = path.with_name(f"{path.name}.backup.part")
    partial.unlink(missing_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(partial)) as copy:
            connection.backup(copy)
            # As one file, without a log beside it, it can be read from anywhere.
            copy.execute("PRAGMA journal_mode = DELETE")
        return partial.replace(out)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
