"""Find chats by the words of their titles and messages."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

# The index is derived data: it is not part of the schema's version and can be thrown away and rebuilt at any time.
INDEX = """
    CREATE VIRTUAL TABLE IF NOT EXISTS title_index USING fts5 (
        title, content = 'conversations', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2');
    CREATE VIRTUAL TABLE IF NOT EXISTS text_index USING fts5 (
        text, content = 'messages', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2');
"""
INDEXED = (("title_index", "conversations", "title"), ("text_index", "messages", "text"))
TRIGGER_NAMES = [f"{index}_{event}" for index, _, _ in INDEXED for event in ("insert", "delete", "update")]
SNIPPET_WORDS = 12
SNIPPET_CHARACTERS = 40


@dataclass(frozen=True)
class SearchHit:
    """Point to a chat and, when the words are in a message, to the message, with the words in their surroundings."""

    conversation_id: int
    title: str
    message_id: int | None
    snippet: str


def prepare(connection: sqlite3.Connection) -> bool:
    """Make the search index if this SQLite can, and return whether there is one."""
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if not connection.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0]:
        # Triggers of an earlier SQLite would make every write fail here.
        for name in names.intersection(TRIGGER_NAMES):
            connection.execute(f"DROP TRIGGER {name}")
        return False
    if names.issuperset([*TRIGGER_NAMES, "title_index", "text_index"]):
        return True
    connection.executescript(f"BEGIN IMMEDIATE; {INDEX} {_triggers()} {_rebuild()} COMMIT;")
    return True


def find(connection: sqlite3.Connection, query: str, *, indexed: bool, limit: int = 50) -> list[SearchHit]:
    """Return chats whose title or messages hold all words of `query`, titles first, then the newest messages.

    The last word may be incomplete. Without an index, and for scripts written without spaces, the whole query is
    looked for as it stands.
    """
    query = query.strip().replace("\0", "")
    if not query:
        return []
    words = [word for word in query.split() if any(c.isalnum() for c in word)]
    if indexed and words and max(query) < "\u2e80":
        with contextlib.suppress(sqlite3.DatabaseError):
            return list(_find_indexed(connection, words, limit))
    return list(_find_plain(connection, query, limit))


def _find_indexed(connection: sqlite3.Connection, words: list[str], limit: int) -> Iterator[SearchHit]:
    """Ask the index; each word is quoted, so that nothing in it is taken for an operator."""
    match = " ".join('"' + word.replace('"', '""') + '"' for word in words) + "*"
    yield from _titles(connection, "c.id IN (SELECT rowid FROM title_index WHERE title_index MATCH ?)", match, limit)
    rows = connection.execute(
        f"""
        SELECT c.id, c.title, m.id, snippet(text_index, 0, '', '', '…', {SNIPPET_WORDS})
        FROM text_index JOIN messages m ON m.id = text_index.rowid JOIN conversations c ON c.id = m.conversation_id
        WHERE text_index MATCH ? AND c.trashed_at IS NULL ORDER BY m.id DESC LIMIT ?
        """,
        (match, limit),
    )
    for conversation_id, title, message_id, snippet in rows:
        yield SearchHit(conversation_id, title, message_id, " ".join(snippet.split()))


def _find_plain(connection: sqlite3.Connection, query: str, limit: int) -> Iterator[SearchHit]:
    """Look through everything for the query as it stands."""
    pattern = "%" + query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    yield from _titles(connection, r"c.title LIKE ? ESCAPE '\'", pattern, limit)
    rows = connection.execute(
        r"""
        SELECT c.id, c.title, m.id, m.text FROM messages m JOIN conversations c ON c.id = m.conversation_id
        WHERE m.text LIKE ? ESCAPE '\' AND c.trashed_at IS NULL ORDER BY m.id DESC LIMIT ?
        """,
        (pattern, limit),
    )
    for conversation_id, title, message_id, text in rows:
        yield SearchHit(conversation_id, title, message_id, _surroundings(text, query))


def _titles(connection: sqlite3.Connection, condition: str, argument: str, limit: int) -> Iterator[SearchHit]:
    """Yield the chats whose title meets a condition, newest first."""
    rows = connection.execute(
        f"SELECT c.id, c.title FROM conversations c WHERE {condition} AND c.trashed_at IS NULL "
        "ORDER BY c.updated_at DESC LIMIT ?",
        (argument, limit),
    )
    for conversation_id, title in rows:
        yield SearchHit(conversation_id, title, None, title)


def _surroundings(text: str, query: str) -> str:
    """Cut the part of `text` around the first place of `query`, on one line."""
    at = max(text.casefold().find(query.casefold()), 0)
    start, end = max(at - SNIPPET_CHARACTERS, 0), at + len(query) + SNIPPET_CHARACTERS
    snippet = " ".join(text[start:end].split())
    return ("…" if start else "") + snippet + ("…" if end < len(text) else "")


def _triggers() -> str:
    """Write the triggers that keep both indices equal to their tables."""
    return "".join(
        f"""
        CREATE TRIGGER IF NOT EXISTS {index}_insert AFTER INSERT ON {table} BEGIN
            INSERT INTO {index} (rowid, {column}) VALUES (new.id, new.{column});
        END;
        CREATE TRIGGER IF NOT EXISTS {index}_delete AFTER DELETE ON {table} BEGIN
            INSERT INTO {index} ({index}, rowid, {column}) VALUES ('delete', old.id, old.{column});
        END;
        CREATE TRIGGER IF NOT EXISTS {index}_update AFTER UPDATE OF {column} ON {table} BEGIN
            INSERT INTO {index} ({index}, rowid, {column}) VALUES ('delete', old.id, old.{column});
            INSERT INTO {index} (rowid, {column}) VALUES (new.id, new.{column});
        END;
        """
        for index, table, column in INDEXED
    )


def _rebuild() -> str:
    """Write the commands that fill both indices anew."""
    return "".join(f"INSERT INTO {index} ({index}) VALUES ('rebuild');" for index, _, _ in INDEXED)
