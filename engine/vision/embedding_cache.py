"""Keep the embeddings of pictures, so that no picture is encoded twice.

The latest are kept in memory, more of them on disk. An entry is a file named by its key: a head with shape and
checksum, then float32 values. It is written under another name and then renamed, and a damaged one counts as missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import tempfile
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

DEFAULT_MEMORY_BYTES = 256 << 20
DEFAULT_DISK_BYTES = 1 << 30
# Changes when the same picture and settings would give other embeddings.
_ALGORITHM = 1
_SUFFIX = ".embeddings"
_PART_SUFFIX = ".part"
_HEAD = struct.Struct("<8sIII")  # mark, rows, columns, CRC-32 of the values
_MARK = b"PHIEMBD1"


def cache_key(picture_digest: str, num_crops: int, companion_fingerprint: str) -> str:
    """Return the name of a picture's embeddings under these settings."""
    parts = f"{_ALGORITHM} {picture_digest} {num_crops} {companion_fingerprint}"
    return hashlib.sha256(parts.encode()).hexdigest()


class EmbeddingCache:
    """Hold embeddings `[tokens, embedding]` by key; several processes may share a folder."""

    def __init__(
        self,
        folder: Path | None,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        disk_bytes: int = DEFAULT_DISK_BYTES,
    ) -> None:
        """Keep entries in `folder` (None: in memory only), the least recently used go first."""
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._disk_bytes = disk_bytes
        self._memory: OrderedDict[str, Floats] = OrderedDict()

    def get(self, key: str) -> Floats | None:
        """Return an entry, which must not be changed, or None."""
        embeddings = self._memory.get(key)
        if embeddings is None and (path := self._path(key)) is not None:
            embeddings = _read(path)
        if embeddings is not None:
            self._remember(key, embeddings)
        return embeddings

    def put(self, key: str, embeddings: Floats) -> None:
        """Keep an entry; a disk that cannot take it only costs time later."""
        embeddings = np.ascontiguousarray(embeddings, "<f4")
        embeddings.flags.writeable = False
        self._remember(key, embeddings)
        path = self._path(key)
        if path is not None and embeddings.nbytes + _HEAD.size <= self._disk_bytes:
            with contextlib.suppress(OSError):
                _write(path, embeddings)
                self._trim_disk(path)

    def clear(self) -> None:
        """Forget everything, on disk too."""
        self._memory.clear()
        for path, _, _ in self._files():
            with contextlib.suppress(OSError):
                path.unlink()

    def _remember(self, key: str, embeddings: Floats) -> None:
        self._memory[key] = embeddings
        self._memory.move_to_end(key)
        used = sum(entry.nbytes for entry in self._memory.values())
        while used > self._memory_bytes:
            used -= self._memory.popitem(last=False)[1].nbytes

    def _trim_disk(self, newest: Path) -> None:
        files = sorted(self._files(), key=lambda file: file[1])
        used = sum(size for _, _, size in files)
        for path, _, size in files:
            if used <= self._disk_bytes:
                return
            if path != newest:
                with contextlib.suppress(OSError):
                    path.unlink()
                used -= size

    def _files(self) -> list[tuple[Path, int, int]]:
        """List entries, and what is left of unfinished ones, with the time of last use and the size."""
        files = []
        for path in self._folder.glob(f"*{_SUFFIX}*") if self._folder is not None else ():
            with contextlib.suppress(OSError):
                status = path.stat()
                files.append((path, status.st_mtime_ns, status.st_size))
        return files

    def _path(self, key: str) -> Path | None:
        return None if self._folder is None else self._folder / (key + _SUFFIX)


def _read(path: Path) -> Floats | None:
    """Read an entry and note its use; a damaged one is removed."""
    try:
        data = path.read_bytes()
        mark, rows, columns, checksum = _HEAD.unpack_from(data)
        if mark != _MARK or len(data) != _HEAD.size + 4 * rows * columns or zlib.crc32(data[_HEAD.size :]) != checksum:
            raise ValueError("damaged")
        os.utime(path)
    except (ValueError, struct.error):
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    except OSError:
        return None
    return np.frombuffer(data, "<f4", offset=_HEAD.size).reshape(rows, columns)


def _write(path: Path, embeddings: Floats) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(_PART_SUFFIX, path.name, path.parent)
    part = Path(name)
    try:
        with open(number, "wb") as file:
            file.write(_HEAD.pack(_MARK, *embeddings.shape, zlib.crc32(embeddings.data)))
            file.write(embeddings.data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
