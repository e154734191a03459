"""Write examples as JSON Lines, with the report beside them; both appear only when they are complete."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.data.example import Example
from engine.data.report import DataReport
from engine.errors import EngineError
from engine.jobs.output import partial_file


def report_path(out: Path) -> Path:
    """Give the place of the report beside a file of examples."""
    return out.with_name(f"{out.stem}.report.json")


def check_out(out: Path, sources: Iterable[Path]) -> None:
    """Refuse a place that cannot be written or that holds what is read; raises EngineError `bad_request`."""
    if not out.parent.is_dir():
        raise EngineError("bad_request", f"The folder {out.parent} does not exist.", "Make it, or choose another.")
    if out.is_dir():
        raise EngineError("bad_request", f"{out.name} is a folder.", "Give the name of a file.")
    if any(out.exists() and source.exists() and out.samefile(source) for source in sources):
        raise EngineError("bad_request", "The result would replace the data that is read.", "Give another name.")


def write_examples(out: Path, examples: Iterable[Example], report: DataReport, size_bytes: int) -> None:
    """Write both files; `size_bytes` is about how large they will be.

    Raises EngineError `disk_full` or `bad_request`; nothing is left behind then.
    """
    with _known_errors(out), partial_file(report_path(out), 0) as part:
        part.write_text(json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n", "utf-8")
        write_rows(out, examples, size_bytes)


def write_rows(out: Path, examples: Iterable[Example], size_bytes: int = 0) -> None:
    """Write examples alone; raises EngineError `disk_full` or `bad_request`, and nothing is left behind then."""
    folder = out.parent.resolve()
    with (
        _known_errors(out),
        partial_file(out, size_bytes) as part,
        open(part, "w", encoding="utf-8", newline="\n") as stream,
    ):
        for example in examples:
            stream.write(json.dumps(_row(example, folder), ensure_ascii=False) + "\n")


@contextmanager
def _known_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise EngineError("disk_full", "The disk is full.", "Free some space and start again.") from error
        reason = error.strerror or type(error).__name__
        raise EngineError("bad_request", f"{out} cannot be written: {reason}.", "Choose another place.") from error


def _row(example: Example, folder: Path) -> dict[str, Any]:
    """Give a row whose pictures are relative to the file where they lie below its folder."""
    row = example.to_row()
    if "images" in row:
        paths = [Path(picture) for picture in row["images"]]
        row["images"] = [
            path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path) for path in paths
        ]
    return row
