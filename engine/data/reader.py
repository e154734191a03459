"""Open what a user dropped: recognise its form from the first rows, then give its examples one after the other."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data import documents
from engine.data.example import Example, Place, RowError, RowProblem
from engine.data.json_rows import Numbered, json_rows
from engine.data.message_trees import joined_messages
from engine.data.row_formats import FORMATS, RowFormat
from engine.data.source_file import Encoding, Progress, check_file, detect_encoding, open_bytes, open_text, plain_suffix
from engine.data.table_rows import csv_rows, parquet_rows
from engine.errors import EngineError

SAMPLE_ROWS = 200
SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".txt", ".text", ".md", ".markdown", ".pdf")

_TABLES = (".csv", ".tsv")
_REMEDY = (
    "Give rows `messages`, `instruction` and `output`, `prompt` and `completion`, `chosen` and `rejected`, or `text`."
)


@dataclass(frozen=True, slots=True)
class Recognition:
    """Say what a file was taken for.

    Attributes:
        format: code of the form, as in `engine.data.row_formats`, or `document`.
        words: the form in words.
        evidence: one sentence that says why.
        share: how much of the sample has this form, from 0 to 1.
        encoding: of the text; empty for Parquet and PDF.
    """

    format: str
    words: str
    evidence: str
    share: float
    encoding: str = ""


class DataFile:
    """Give the examples of one file, as often as wanted, without ever holding it whole.

    Attributes:
        recognition: what the file was taken for.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        """Look at the file; `name` is how places in it call it.

        Raises EngineError `input_invalid` when there is nothing in it that can be learned.
        """
        self.path = path
        self.name = name or path.name
        self.size = check_file(path)
        self._kind = _kind_of(path)
        is_binary = self._kind in ("parquet", "pdf")
        self._encoding = Encoding("") if is_binary else detect_encoding(path)
        self._format: RowFormat | None = None
        self.recognition = self._recognise()

    def items(self, progress: Progress | None = None) -> Iterator[Example | RowProblem]:
        """Give examples and problems in the order of the file.

        `progress` gets how much is done and of how much; what it raises ends the reading. Raises EngineError
        `input_invalid` when the file turns out to be damaged.
        """
        if self._kind == "pdf":
            yield from documents.pdf_pieces(self.path, self.name, progress)
        elif self._kind == "text":
            with open_text(self.path, self._encoding, progress) as stream:
                yield from documents.text_pieces(stream, self.name)
        else:
            for number, row in joined_messages(_rows(self.path, self._kind, self._encoding, progress)):
                yield from self._examples(number, row)

    def _recognise(self) -> Recognition:
        if self._kind in ("pdf", "text"):
            words = "a PDF document" if self._kind == "pdf" else "a text"
            return Recognition("document", words, f"The file is {words}.", 1.0, self._encoding.name)
        with contextlib.closing(_rows(self.path, self._kind, self._encoding)) as numbered:
            sample = [_normalised(row) for _, row in itertools.islice(joined_messages(numbered), SAMPLE_ROWS)]
        rows = [row for row in sample if isinstance(row, dict)]
        fits = Counter(form.name for row in rows if (form := _form_of(row)) is not None)
        self._format = max(FORMATS, key=lambda form: fits[form.name])
        count = fits[self._format.name]
        if not count:
            raise self._unknown(sample)
        evidence = f"{count} of the first {len(sample)} rows have {self._format.evidence}."
        return Recognition(self._format.name, self._format.words, evidence, count / len(sample), self._encoding.name)

    def _unknown(self, sample: list[Any]) -> EngineError:
        columns = list(dict.fromkeys(key for row in sample if isinstance(row, dict) for key in row))
        name = self.name
        if columns:
            named = ", ".join(str(column)[:40] for column in columns[:8])
            sentence = f"{name} has the columns {named}, in which no known form of training data is seen."
        elif not sample:
            sentence = f"{name} has no rows."
        else:
            reason = next((str(row) for row in sample if isinstance(row, RowError)), "The rows have no names.")
            sentence = f"{name} has no row that can be read. {reason}"
        return EngineError("input_invalid", sentence, _REMEDY)

    def _examples(self, number: int, row: Any) -> Iterator[Example | RowProblem]:
        place = Place(self.name, number, "row" if self._kind == "parquet" else "line")
        try:
            yield from self._read(_normalised(row), place)
        except RowError as error:
            yield RowProblem(place, str(error))
        except RecursionError:
            yield RowProblem(place, "The row is nested too deeply.")

    def _read(self, row: Any, place: Place) -> list[Example]:
        if isinstance(row, RowError):
            raise row
        if not isinstance(row, dict):
            raise RowError("The row has no names for its values.")
        assert self._format is not None
        form = self._format if self._format.fits(row) else _form_of(row)
        if form is None:
            raise RowError(f"The row does not have {self._format.evidence}.")
        examples = list(form.read(row, place, self.path.parent.resolve()))
        if self._encoding.damaged and any("\ufffd" in text for example in examples for text in example.texts()):
            raise RowError(f"The row has bytes that are no {self._encoding.name.upper()}.")
        return examples


def read_rows(path: Path) -> Iterator[Any]:
    """Give the rows of a file as they are, of documents their pieces; a row that cannot be read is a RowError.

    Raises EngineError `input_invalid`.
    """
    check_file(path)
    kind = _kind_of(path)
    if kind == "pdf":
        pieces = documents.pdf_pieces(path, path.name)
        yield from (item.text if isinstance(item, Example) else RowError(item.sentence) for item in pieces)
    elif kind == "text":
        with open_text(path, detect_encoding(path)) as stream:
            yield from (line for line in stream if not line.isspace())
    else:
        encoding = Encoding("") if kind == "parquet" else detect_encoding(path)
        yield from (row for _, row in _rows(path, kind, encoding))


def _rows(
    path: Path, kind: str, encoding: Encoding, progress: Progress | None = None
) -> Generator[Numbered, None, None]:
    if kind == "parquet":
        yield from parquet_rows(path, progress)
        return
    is_table = kind == "table"
    with open_text(path, encoding, progress, newline="" if is_table else None) as stream:
        yield from csv_rows(stream) if is_table else json_rows(stream)


def data_files(path: Path) -> list[Path]:
    """Give the files that a path stands for: itself, or those of a folder whose kind is known, by name."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if plain_suffix(file) in SUFFIXES and file.is_file())
    if not found:
        raise EngineError("input_invalid", f"{path.name} holds no file of a known kind.", "Choose another folder.")
    return found


def _normalised(row: Any) -> Any:
    """Give names without regard to case; a text or a list of turns alone is a row as well."""
    if isinstance(row, dict):
        return {str(name).strip().lower(): value for name, value in row.items()}
    if isinstance(row, str):
        return {"text": row}
    if isinstance(row, list):
        return {"messages": row}
    return row


def _form_of(row: dict[str, Any]) -> RowFormat | None:
    return next((form for form in FORMATS if form.fits(row)), None)


def _kind_of(path: Path) -> str:
    """Tell how the bytes are to be read, by what they begin with and by the name."""
    with open_bytes(path) as stream:
        head = stream.read(1024)
    if head.startswith(b"PAR1"):
        return "parquet"
    if b"%PDF-" in head:
        return "pdf"
    if head.startswith(b"PK\x03\x04"):
        raise EngineError("input_invalid", f"{path.name} is an archive or office file.", "Save it as text or PDF.")
    suffix = plain_suffix(path)
    if suffix in (".parquet", ".pdf"):
        raise EngineError(
            "input_invalid", f"{path.name} is no {suffix[1:].upper()} file.", "Copy or download it again."
        )
    if suffix in _TABLES:
        return "table"
    if suffix in (".json", ".jsonl", ".ndjson"):
        return "json"
    if suffix in SUFFIXES:
        return "text"
    marks = head.decode("utf-8", errors="ignore").lstrip("\ufeff \t\r\n")[:1]
    return "json" if marks in ("{", "[") else "text"
