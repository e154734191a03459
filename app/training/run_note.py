"""Keep beside a run what its job does not say: its title, what its data was, whether the user agreed to it."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

NOTE_FILE = "run.json"


@dataclass(frozen=True)
class RunNote:
    """Hold what the window knows of a run.

    Attributes:
        title: what the user calls it.
        base: what the base is called.
        created: when it was asked for, in seconds since 1970.
        form: the recognised form of the data, in words.
        examples, kept: how many there were, and how many are used.
        left_out: how many were left out, by check.
        confirmed: whether the user has agreed to the estimate.
    """

    title: str
    base: str = ""
    created: float = field(default_factory=time.time)
    form: str = ""
    examples: int = 0
    kept: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    confirmed: bool = False


def read_note(folder: Path) -> RunNote:
    """Read the note of a run; one that is not there or damaged leaves the folder's name."""
    try:
        values = json.loads((folder / NOTE_FILE).read_text("utf-8"))
        note = RunNote(**values)
    except (OSError, ValueError, TypeError):
        return RunNote(folder.name, created=_changed(folder), confirmed=True)
    plain = isinstance(note.title, str) and isinstance(note.created, int | float) and isinstance(note.left_out, dict)
    return note if plain else RunNote(folder.name, created=_changed(folder), confirmed=True)


def write_note(folder: Path, note: RunNote) -> None:
    """Write the note whole or not at all. Raises OSError."""
    partial = folder / (NOTE_FILE + ".part")
    partial.write_text(json.dumps(asdict(note), ensure_ascii=False, indent=1), "utf-8")
    partial.replace(folder / NOTE_FILE)


def _changed(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
