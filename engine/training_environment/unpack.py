"""Unpack wheels into one folder, and compare what is there with the lock file."""

from __future__ import annotations

import importlib.metadata
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from engine.errors import EngineError
from engine.training_environment.lock import Wheel

CHUNK_BYTES = 1 << 20
_LIBRARIES = ("purelib", "platlib")


def unpacked_size(file: Path) -> int:
    """Return how much a wheel takes when it is unpacked; raises EngineError `input_invalid` for what is no wheel."""
    with _opened(file) as archive:
        return sum(info.file_size for info, _ in _members(archive))


def unpack(file: Path, folder: Path, on_bytes: Callable[[int], None]) -> None:
    """Write the modules and the metadata of a wheel into `folder`; scripts and headers have no use here.

    `on_bytes` is told the bytes written since the last call; it cancels by raising. Raises EngineError, OSError.
    """
    with _opened(file) as archive:
        for info, place in _members(archive):
            target = folder.joinpath(*place.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, target.open("wb") as out:
                while chunk := source.read(CHUNK_BYTES):
                    out.write(chunk)
                    on_bytes(len(chunk))


def check_versions(folder: Path, wheels: Iterable[Wheel]) -> None:
    """Raise EngineError `check_failed` unless the folder holds every package in the version of the lock file."""
    found = {
        canonicalize_name(package.name): package.version
        for package in importlib.metadata.distributions(path=[str(folder)])
    }
    wrong = [wheel.package for wheel in wheels if not _same(found.get(canonicalize_name(wheel.package)), wheel.version)]
    if wrong:
        message = f"The training packages are not what was asked for ({', '.join(wrong[:3])})."
        raise EngineError("check_failed", message, "Remove them and install them again.")


def _same(found: str | None, wanted: str) -> bool:
    try:
        return found is not None and Version(found) == Version(wanted)
    except InvalidVersion:
        return False


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise EngineError("input_invalid", f"{file.name} is damaged.", "Download it again.", str(error)) from error


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Give the files of a wheel and their places among the packages."""
    for info in archive.infolist():
        place = PurePosixPath(info.filename)
        if info.is_dir() or place.is_absolute() or ".." in place.parts or "\\" in info.filename:
            continue
        if place.parts[0].endswith(".data"):
            if len(place.parts) < 3 or place.parts[1] not in _LIBRARIES:
                continue
            place = PurePosixPath(*place.parts[2:])
        yield info, place


def free_bytes(folder: Path) -> int:
    """Return the free space of the disk of a folder, which need not exist yet."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(there).free
