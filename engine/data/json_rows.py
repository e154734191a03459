"""Give the rows of JSON Lines and of JSON files one after the other, damaged ones as problems."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

from engine.data.example import RowError

Numbered = tuple[int, Any]

MOST_CHARACTERS = 64_000_000
_CHUNK = 1 << 16
_DAMAGED = "The row is no valid JSON"
_ROW_LISTS = ("data", "rows", "train", "examples", "items", "samples", "records")
_SEPARATORS = re.compile(r"[\s,]*")
# How near to the end of what has been read an error lies that more text can cure.
_UNDECIDED = 12


def json_rows(stream: TextIO) -> Iterator[Numbered]:
    """Give line numbers and rows; a row that cannot be read is a RowError.

    Understands one object per line, an array of rows, objects written one after the other over several lines, and an
    object that holds the array, with commas too many or missing.
    """
    first = stream.readline(_CHUNK)
    line = 1
    while first.isspace():
        first, line = stream.readline(_CHUNK), line + 1
    rows = _lines(stream, first, line) if _is_row(first) else _Values(stream, first, line).rows()
    yield from _unwrapped(rows)


def _is_row(line: str) -> bool:
    try:
        return isinstance(json.loads(line.strip().rstrip(",")), dict)
    except (ValueError, RecursionError):
        return False


def _unwrapped(rows: Iterator[Numbered]) -> Iterator[Numbered]:
    """Replace a first object that holds the rows by these, numbered from 1."""
    for number, row in rows:
        lists = [row.get(name) for name in _ROW_LISTS] if isinstance(row, dict) else []
        held = next((rows for rows in lists if isinstance(rows, list) and rows and isinstance(rows[0], dict)), None)
        yield from enumerate(held, 1) if held else [(number, row)]


def _lines(stream: TextIO, first: str, number: int) -> Iterator[Numbered]:
    """Give one row per line."""
    line = first + ("" if first.endswith("\n") else stream.readline(MOST_CHARACTERS))
    while line:
        whole = len(line) < MOST_CHARACTERS or line.endswith("\n")
        if not line.isspace():
            yield number, _line(line) if whole else RowError("The line is too long.")
        while not whole:
            whole = len(stream.readline(MOST_CHARACTERS)) < MOST_CHARACTERS
        line, number = stream.readline(MOST_CHARACTERS), number + 1


def _line(line: str) -> Any:
    text = line.strip().rstrip(",")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and not line.endswith("\n") and _may_go_on(error, text):
            return RowError("The last line is cut off.")
        return RowError(_sentence(error))


def _may_go_on(error: json.JSONDecodeError, text: str) -> bool:
    """Tell whether more text could cure an error."""
    return error.msg.startswith("Unterminated string") or error.pos >= len(text) - _UNDECIDED


def _sentence(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "The row is nested too deeply."
    if isinstance(error, json.JSONDecodeError):
        return f"{_DAMAGED}: {error.msg} (character {error.colno})."
    return "The row has a number that is too long."


class _Values:
    """Take the values of a JSON text from a stream, whole ones only in memory."""

    def __init__(self, stream: TextIO, text: str, line: int) -> None:
        self._stream = stream
        self._text = text
        self._line = line
        self._at = 0
        self._indent = ""
        self._decoder = json.JSONDecoder()

    def rows(self) -> Iterator[Numbered]:
        """Give the values inside of the outer array, or the values on the top level where there is none."""
        inside = self._open_array()
        known = False
        while character := self._next_character():
            if character == "]":
                self._move(self._at + 1)
                inside = False
                continue
            if character == "[" and not inside:
                inside = self._open_array()
                continue
            if not known:
                self._indent, known = self._indent_here(), True
            line = self._line
            value = self._value()
            if isinstance(value, RowError) and not self._skip_to_next():
                is_damaged = str(value).startswith(_DAMAGED)
                yield line, RowError(f"{value} Nothing after it is read.") if is_damaged else value
                return
            yield line, value

    def _open_array(self) -> bool:
        if self._next_character() != "[":
            return False
        self._move(self._at + 1)
        return True

    def _next_character(self) -> str:
        """Skip white space and commas; give what follows, or nothing at the end."""
        while True:
            match = _SEPARATORS.match(self._text, self._at)
            assert match is not None
            self._move(match.end())
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _value(self) -> Any:
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not _may_go_on(error, self._text):
                    return RowError(self._damage(error))
                if len(self._text) - self._at >= MOST_CHARACTERS:
                    return RowError("The row is too long.")
                if not self._more():
                    return RowError("The file is cut off in this row.")
            except (ValueError, RecursionError) as error:
                return RowError(_sentence(error))
            else:
                self._move(end)
                return value

    def _damage(self, error: json.JSONDecodeError) -> str:
        line = self._line + self._text.count("\n", self._at, error.pos)
        return f"{_DAMAGED}: {error.msg} (line {line})."

    def _skip_to_next(self) -> bool:
        """Go on where the next row begins: in a line of its own, indented as the first row was."""
        start = re.compile(f"\n{re.escape(self._indent)}[{{\\[]")
        self._at += 1
        while not (match := start.search(self._text, self._at)):
            self._move(max(self._at, len(self._text) - len(self._indent) - 2))
            if not self._more():
                return False
        self._move(match.end() - 1)
        return True

    def _indent_here(self) -> str:
        before = self._text[self._text.rfind("\n", 0, self._at) + 1 : self._at]
        return before if before.isspace() else ""

    def _move(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to

    def _more(self) -> bool:
        """Read on, as much again as is waiting, and forget what is done."""
        kept = self._text[self._at :]
        read = self._stream.read(max(_CHUNK, len(kept)))
        if not read:
            return False
        self._text, self._at = kept + read, 0
        return True
