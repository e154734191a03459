"""Remember what is known of each language model on this computer: use, measured speed, the user's choices."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.storage.database import Database
from app.storage.values import as_float, as_object, as_text


@dataclass(frozen=True)
class ModelRecord:
    """Describe a model by its file."""

    path: Path
    title: str | None = None
    last_used_at: float | None = None
    tokens_per_second: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class ModelRecords:
    """Read and write the model records of a profile."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Use `database`; `clock` gives the seconds since 1970."""
        self._database = database
        self._clock = clock

    def get(self, path: Path) -> ModelRecord:
        """Return what is known of a model, which may be nothing yet."""
        return self._records("WHERE path = ?", str(path)).get(path, ModelRecord(path))

    def all(self) -> dict[Path, ModelRecord]:
        """Return every record by path."""
        return self._records("")

    def last_used(self) -> Path | None:
        """Return the model that was used last."""
        return next(iter(self._records("WHERE last_used_at IS NOT NULL ORDER BY last_used_at DESC LIMIT 1")), None)

    def rename(self, path: Path, title: str | None) -> None:
        """Give a model a title of the user's own; None returns to the one in the file."""
        self._set(path, title=title)

    def note_use(self, path: Path) -> None:
        """Remember that a model is used now."""
        self._set(path, last_used_at=self._clock())

    def note_speed(self, path: Path, tokens_per_second: float) -> None:
        """Remember the speed that an answer was just measured at."""
        self._set(path, tokens_per_second=tokens_per_second)

    def set_settings(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Remember the settings of a model that differ from the general ones."""
        self._set(path, settings=json.dumps(dict(settings)))

    def forget(self, path: Path) -> None:
        """Drop the record of a model."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM models WHERE path = ?", (str(path),))

    def _set(self, path: Path, **columns: object) -> None:
        """Change columns of a record, making it first if need be."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        with self._database.transaction() as db:
            db.execute("INSERT OR IGNORE INTO models (path) VALUES (?)", (str(path),))
            db.execute(f"UPDATE models SET {assignments} WHERE path = ?", (*columns.values(), str(path)))

    def _records(self, condition: str, *arguments: object) -> dict[Path, ModelRecord]:
        """Read the records that meet a condition."""
        columns = "path, title, last_used_at, tokens_per_second, settings"
        rows = self._database.rows(f"SELECT {columns} FROM models {condition}", *arguments)
        records = [
            ModelRecord(
                Path(as_text(path)),
                None if title is None else as_text(title),
                as_float(last_used_at),
                as_float(speed),
                as_object(settings),
            )
            for path, title, last_used_at, speed, settings in rows
        ]
        return {record.path: record for record in records}
