"""Define the known faults of the storage."""

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
