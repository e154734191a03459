"""Copy what can still be read of a damaged database into a new one."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Parents before children, so that foreign keys hold.
TABLES = (
    "conversations", "messages", "pieces", "votes", "drafts", "models",
    "pictures", "message_pictures", "draft_pictures",
)  # fmt: skip
Row = tuple[object, ...]


@dataclass(frozen=True)
class Recovered:
    """Count what came out of a damaged database."""

    conversations: int
    messages: int


def salvage(damaged: Path, target: sqlite3.Connection) -> Recovered:
    """Copy every readable row of `damaged` into the empty database `target`."""
    source = sqlite3.connect(damaged)
    # Bytes go over as they are: the reader decides what to make of them.
    source.text_factory = _decode
    counts = dict.fromkeys(TABLES, 0)
    target.execute("PRAGMA foreign_keys = OFF")
    target.execute("BEGIN")
    try:
        for table in TABLES:
            counts[table] = _copy_table(source, target, table)
        _drop_orphans(target)
        target.execute("COMMIT")
    finally:
        source.close()
        if target.in_transaction:
            target.execute("ROLLBACK")
        target.execute("PRAGMA foreign_keys = ON")
    return Recovered(counts["conversations"], counts["messages"])


def _decode(value: bytes) -> str:
    """Decode a stored text, marking bytes that are not UTF-8."""
    return value.decode("utf-8", "replace")


def _copy_table(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    """Copy the readable rows of one table and return how many arrived."""
    columns = _common_columns(source, target, table)
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    copied = 0
    for row in _readable_rows(source, table, columns):
        try:
            copied += target.execute(insert, row).rowcount
        except sqlite3.IntegrityError:
            continue
    return copied


def _common_columns(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> list[str]:
    """Name the columns of a table that both have: a damaged file may be older than the schema."""
    known = [str(row[1]) for row in target.execute(f"PRAGMA table_info({table})")]
    there = {row[1] for row in _until_damage(source, f"PRAGMA table_info({table})")}
    return [column for column in known if column in there] or known


def _readable_rows(source: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[Row]:
    """Yield rows up to the damage, then from the end back to it, then what single look-ups reach in between."""
    select = f"SELECT rowid, {', '.join(columns)} FROM {table} NOT INDEXED"
    first = last = None
    for row in _until_damage(source, f"{select} ORDER BY rowid"):
        first = int(row[0])
        yield row[1:]
    for row in _until_damage(source, f"{select} WHERE rowid > {first or 0} ORDER BY rowid DESC"):
        last = int(row[0])
        yield row[1:]
    if last is None:
        return
    for rowid in range((first or 0) + 1, last):
        yield from (row[1:] for row in _until_damage(source, f"{select} WHERE rowid = {rowid}"))


def _until_damage(source: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query and end quietly where the file stops being readable."""
    try:
        yield from source.execute(query)
    except sqlite3.DatabaseError:
        return


def _drop_orphans(target: sqlite3.Connection) -> None:
    """Give messages whose chat was lost a chat of their own, and let go of what refers to nothing."""
    target.execute(
        """
        INSERT INTO conversations (id, title, created_at, updated_at)
        SELECT conversation_id, 'Recovered chat', min(created_at), max(created_at) FROM messages
        WHERE conversation_id NOT IN (SELECT id FROM conversations) GROUP BY conversation_id
        """
    )
    target.execute("UPDATE messages SET parent_id = NULL WHERE parent_id NOT IN (SELECT id FROM messages)")
    target.execute("DELETE FROM pieces WHERE message_id NOT IN (SELECT id FROM messages)")
    target.execute("DELETE FROM message_pictures WHERE message_id NOT IN (SELECT id FROM messages)")
    for end in ("chosen_id", "rejected_id"):
        target.execute(f"DELETE FROM votes WHERE {end} NOT IN (SELECT id FROM messages)")
    for table in ("message_pictures", "draft_pictures"):
        target.execute(f"DELETE FROM {table} WHERE digest NOT IN (SELECT digest FROM pictures)")
