"""Write a result so that it appears only when it is complete."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import EngineError


@contextmanager
def partial_file(out: Path, size_bytes: int) -> Iterator[Path]:
    """Give a temporary name beside `out` that becomes `out` at the end, and goes away on any failure.

    Raises EngineError `disk_full` before anything is written when the disk has less than `size_bytes` free.
    """
    free = shutil.disk_usage(out.parent).free
    if free < size_bytes:
        need = f"{size_bytes / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free"
        raise EngineError("disk_full", f"The disk has too little space: {need}.", "Free some space and start again.")
    partial = out.with_name(out.name + ".part")
    try:
        yield partial
        partial.replace(out)
    finally:
        with suppress(
            PermissionError
        ):  # Windows keeps a file that a cancelled native call still writes; `.part` says it all
            partial.unlink(missing_ok=True)
