"""Open data files as text: whatever their encoding, packed or not, and never whole in memory."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import EngineError

Progress = Callable[[int, int], None]

_CHUNK = 1 << 20
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Text has next to no control characters; UTF-16 of Latin text has a NUL in every other place.
_CONTROLS = bytes(code for code in range(32) if chr(code) not in "\t\n\v\f\r\x1b")
_MOST_CONTROLS, _NULS_OF_UTF16 = 0.05, 0.3


@dataclass(frozen=True, slots=True)
class Encoding:
    """Name the encoding of a file; `damaged` says that some bytes do not belong to it."""

    name: str
    damaged: bool = False


def check_file(path: Path) -> int:
    """Give the size of a file in bytes; raises EngineError `input_invalid` when there is nothing to read."""
    try:
        size = path.stat().st_size
        with open(path, "rb"):
            pass
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise EngineError("input_invalid", f"{path.name} {reason}.", "Check the path.", str(error)) from error
    if not size:
        raise EngineError("input_invalid", f"{path.name} is empty.", "Choose a file with data.")
    return size


def plain_suffix(path: Path) -> str:
    """Give the suffix in lower case, without that of a packer."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".bz2", ".xz"):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@contextmanager
def open_bytes(path: Path, progress: Progress | None = None) -> Iterator[BinaryIO]:
    """Open a file, unpacked where it is packed; `progress` gets the bytes read of the file and its size.

    Damage of a packed file and failures of the disk become EngineError `input_invalid`.
    """
    opener = None
    try:
        with open(path, "rb", buffering=0) as raw:
            counted = io.BufferedReader(_Counted(raw, path.stat().st_size, progress), _CHUNK)
            head = counted.peek(8)
            opener = next((opener for magic, opener in _PACKED.items() if head.startswith(magic)), None)
            with counted if opener is None else opener(counted) as stream:
                yield stream
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise _packed_damage(path, error) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        if opener is not None and error.errno is None:
            raise _packed_damage(path, error) from error
        sentence = f"{path.name} cannot be read: {error.strerror or type(error).__name__}."
        raise EngineError("input_invalid", sentence, "Check the disk and start again.", str(error)) from error


@contextmanager
def open_text(
    path: Path, encoding: Encoding, progress: Progress | None = None, newline: str | None = None
) -> Iterator[io.TextIOWrapper]:
    """Open a file as text; bytes that do not belong to the encoding become U+FFFD."""
    with (
        open_bytes(path, progress) as stream,
        io.TextIOWrapper(stream, encoding=encoding.name, errors="replace", newline=newline) as text,
    ):
        yield text


def detect_encoding(path: Path) -> Encoding:
    """Tell the encoding: by its mark, else UTF-8 if all bytes agree, else Windows' Latin.

    Reads the whole file once. Raises EngineError `input_invalid` for what is no text.
    """
    with open_bytes(path) as stream:
        head = stream.read(_CHUNK)
        if not head.strip():
            raise EngineError("input_invalid", f"{path.name} has no text in it.", "Choose a file with data.")
        marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
        if marked is not None:
            return Encoding(marked)
        wide = _wide_encoding(path, head)
        return Encoding(wide) if wide else _narrow_encoding(stream, head)


def _wide_encoding(path: Path, head: bytes) -> str | None:
    """Recognise UTF-16 without a mark by its NULs, and refuse binary files."""
    sample = head[:4096]
    even, odd = (sample[start::2].count(0) / max(len(sample[start::2]), 1) for start in (0, 1))
    if odd > _NULS_OF_UTF16 and even < _MOST_CONTROLS:
        return "utf-16-le"
    if even > _NULS_OF_UTF16 and odd < _MOST_CONTROLS:
        return "utf-16-be"
    # A file that was being written when the power failed ends with NULs.
    sample = sample.rstrip(b"\x00")
    if len(sample.translate(None, _CONTROLS)) < (1 - _MOST_CONTROLS) * max(len(sample), 1):
        raise EngineError("input_invalid", f"{path.name} is no text file.", "Choose JSON, CSV, Parquet, text or PDF.")
    return None


def _narrow_encoding(stream: BinaryIO, chunk: bytes) -> Encoding:
    decoder = codecs.getincrementaldecoder("utf-8")()
    while chunk:
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            text = chunk.decode("utf-8", errors="replace")
            bad = text.count("\ufffd")
            good = len(text) - bad - len(text.encode("ascii", errors="ignore"))
            return Encoding("utf-8", damaged=True) if good > bad else Encoding(_latin(chunk))
        chunk = stream.read(_CHUNK)
    return Encoding("utf-8")


def _latin(chunk: bytes) -> str:
    try:
        chunk.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _packed_damage(path: Path, error: Exception) -> EngineError:
    sentence = f"{path.name} is a damaged or cut off packed file."
    return EngineError("input_invalid", sentence, "Copy or download it again.", str(error))


class _Counted(io.RawIOBase):
    """Report how much of a file has been read."""

    def __init__(self, raw: io.RawIOBase | io.FileIO, total: int, progress: Progress | None) -> None:
        self._raw, self._total, self._progress, self._done = raw, total, progress, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = self._raw.readinto(buffer) or 0
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)
        return count
