"""Copy pictures beside the examples that show them, so that a file of examples outlives where they came from."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from engine.data.example import Example
from engine.protocol import Message


def with_copies(examples: Iterable[Example], source: Path, folder: Path) -> Iterator[Example]:
    """Give the examples with copies in `folder` of the pictures that lie below `source`, where names tell contents.

    Raises OSError.
    """
    source, folder = source.resolve(), folder.resolve()

    def copied(turns: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(replace(turn, pictures=tuple(map(copy, turn.pictures))) for turn in turns)

    def copy(picture: str) -> str:
        path = Path(picture).resolve()
        return str(copy_picture(path, folder)) if path.is_relative_to(source) else picture

    for each in examples:
        chosen, rejected = copied(each.chosen), copied(each.rejected)
        yield replace(each, messages=copied(each.messages), chosen=chosen, rejected=rejected)


def copy_picture(picture: Path, folder: Path) -> Path:
    """Copy a file, whose name tells its contents, whole or not at all, and return the copy. Raises OSError."""
    copy = folder / picture.name
    if copy.is_file():
        return copy
    folder.mkdir(parents=True, exist_ok=True)
    partial = copy.with_name(copy.name + ".part")
    try:
        shutil.copyfile(picture, partial)
        partial.replace(copy)
    finally:
        partial.unlink(missing_ok=True)
    return copy
