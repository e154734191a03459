"""Let the picture part of a vision model go where its language model goes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from converter.companion_path import companion_path
from engine.jobs.output import partial_file


@contextmanager
def companion_copied(source: Path, out: Path) -> Iterator[None]:
    """Put a copy of the companion of the model at `source`, if it has one, beside `out`, which the body writes.

    When the body fails the copy goes away. Raises EngineError `disk_full` or OSError.
    """
    companion, target = companion_path(source), companion_path(out)
    if not companion.is_file() or companion.resolve() == target.resolve():
        yield
        return
    with partial_file(target, companion.stat().st_size) as partial:
        shutil.copyfile(companion, partial)
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise
