"""Define the known faults of the storage."""

import errno
import sqlite3


class StorageError(Exception):
    """Tell the user in one sentence what is wrong with the stored data, and the way out."""

    def __init__(self, code: str, message: str, remedy: str | None = None) -> None:
        """Keep the stable `code`, the sentence and the remedy."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy


def storage_error(fault: sqlite3.Error) -> StorageError:
    """Translate a fault of SQLite into words."""
    # The low byte is the kind of fault, the rest its details.
    match getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StorageError(
                "disk_full", "The disk is full: the chat could not be saved.", "Free some space and retry."
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StorageError(
                "storage_busy", "Another program is using the chat file.", "Close other windows of Phidelity and retry."
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StorageError(
                "storage_read_only", "The chat file cannot be written.", "Check the permissions of the data folder."
            )
        case _:
            return StorageError(
                "storage_damaged",
                f"The chat file failed ({fault}).",
                "Restart Phidelity: it repairs the file on start.",
            )


def update_error(fault: sqlite3.Error | OSError) -> StorageError:
    """Say in words why the database could not be brought to this version; it is as it was."""
    kind = getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        assert isinstance(fault, sqlite3.Error)
        return storage_error(fault)
    if kind == sqlite3.SQLITE_FULL or getattr(fault, "errno", None) == errno.ENOSPC:
        return StorageError(
            "disk_full",
            "The disk is too full to bring your chats to this version; they are as they were.",
            "Free some space and start again.",
        )
    return StorageError(
        "storage_not_updated",
        f"Your chats could not be brought to this version ({fault}); they are as they were.",
        "Go on with the version of Phidelity that you had before, and report this fault.",
    )


def is_damage(fault: Exception) -> bool:
    """Tell damage of the file from a fault around it, such as a full disk or a lock."""
    code = getattr(fault, "sqlite_errorcode", None)
    return isinstance(fault, sqlite3.Error) and (
        code is None or code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    )
