"""Give the rows of CSV and Parquet files one after the other, damaged ones as problems."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from engine.data.example import RowError
from engine.data.libraries import training_library
from engine.data.source_file import Progress
from engine.errors import EngineError

Numbered = tuple[int, Any]

_MOST_CHARACTERS = 64_000_000
_DELIMITERS = ",;\t|"
_BATCH = 256


def csv_rows(stream: TextIO) -> Iterator[Numbered]:
    """Give line numbers and rows as the header names them; a row that cannot be read is a RowError.

    The delimiter is the likeliest of comma, semicolon, tab and bar. Cells that hold JSON are read as such. The stream
    must have been opened with `newline=""`. Raises EngineError `input_invalid` when two columns have one name.
    """
    csv.field_size_limit(_MOST_CHARACTERS)
    head = stream.readline(_MOST_CHARACTERS)
    delimiter = max(_DELIMITERS, key=head.count)
    header = [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])]
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        sentence = f"The header names the column {twice!r} twice."
        raise EngineError("input_invalid", sentence, "Give every column a name of its own.")
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 2
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, RowError(_csv_sentence(error))
            continue
        if cells:
            yield line, _csv_row(header, cells)


def _csv_row(header: list[str], cells: list[str]) -> Any:
    if len(cells) != len(header):
        return RowError(f"The row has {len(cells)} cells where the header names {len(header)}.")
    return {name: _cell(cell) for name, cell in zip(header, cells, strict=True)}


def _cell(cell: str) -> Any:
    if cell[:1] in ("[", "{"):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell


def _csv_sentence(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "A quotation mark is opened here and never closed, so the rest of the file is not read."
    if "field larger" in str(error):
        return "The row is too long; a quotation mark may be missing."
    return f"The row is no valid CSV: {error}."


def parquet_rows(path: Path, progress: Progress | None = None) -> Iterator[Numbered]:
    """Give row numbers and rows; raises EngineError `input_invalid` for a damaged file."""
    parquet = training_library("pyarrow.parquet", "Reading Parquet files")
    arrow_error = training_library("pyarrow", "Reading Parquet files").ArrowException
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            total = file.metadata.num_rows
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
                if progress is not None:
                    progress(number, total)
    except (arrow_error, OSError, UnicodeDecodeError) as error:
        sentence = f"{path.name} is a damaged or cut off Parquet file."
        raise EngineError("input_invalid", sentence, "Copy or download it again.", str(error)) from error
