"""Read texts, Markdown and PDF files for continued pre-training, in pieces that end where a paragraph does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from engine.data.example import Example, Place, RowError, RowProblem
from engine.data.libraries import training_library
from engine.data.source_file import Progress
from engine.errors import EngineError

PIECE_CHARACTERS = 16_000

_PDF_REASONS = {3: "is no PDF file or damaged", 4: "is protected by a password"}


def text_pieces(stream: TextIO, file: str) -> Iterator[Example | RowProblem]:
    """Give a text in pieces of about 16,000 characters, each with the line where it begins."""
    yield from _joined(enumerate(_lines(stream), 1), file, "line")


def _lines(stream: TextIO) -> Iterator[str]:
    while line := stream.readline(PIECE_CHARACTERS):
        yield line


def pdf_pieces(path: Path, file: str, progress: Progress | None = None) -> Iterator[Example | RowProblem]:
    """Give the text of a PDF file in pieces, each with the page where it begins.

    Raises EngineError `input_invalid` for a file that cannot be opened or that holds only pictures of text.
    """
    pages = _pdf_pages(path, progress)
    found = False
    for item in _joined(pages, file, "page"):
        found = True
        yield item
    if not found:
        sentence = f"{path.name} has no text: its pages are pictures."
        raise EngineError("input_invalid", sentence, "Use a program that recognises text, then try again.")


def _pdf_pages(path: Path, progress: Progress | None) -> Iterator[tuple[int, str]]:
    library = training_library("pypdfium2", "Reading PDF files")
    try:
        document = library.PdfDocument(path)
    except library.PdfiumError as error:
        reason = _PDF_REASONS.get(getattr(error, "err_code", 0), "cannot be opened")
        raise EngineError("input_invalid", f"{path.name} {reason}.", "Open and save it again.", str(error)) from error
    try:
        for index in range(len(document)):
            yield index + 1, _page_text(document, index)
            if progress is not None:
                progress(index + 1, len(document))
    finally:
        document.close()


def _page_text(document: object, index: int) -> str:
    page = document[index]  # type: ignore[index]
    text_page = page.get_textpage()
    # PDF has NULs and U+FFFE where a font names no character or a word is divided at the end of a line.
    text = str(text_page.get_text_bounded()).replace("\x00", "").replace("\ufffe", "").replace("\r\n", "\n")
    text_page.close()
    page.close()
    return f"{text.strip()}\n\n" if text.strip() else ""


def _joined(parts: Iterator[tuple[int, str]], file: str, unit: str) -> Iterator[Example | RowProblem]:
    """Join lines or pages until a piece is long enough and a paragraph ends, or twice as long."""
    waiting: list[str] = []
    start, length = 1, 0
    for number, part in parts:
        if not waiting:
            start = number
        waiting.append(part)
        length += len(part)
        at_end = not part.strip() or part.endswith("\n\n")
        if length >= 2 * PIECE_CHARACTERS or (length >= PIECE_CHARACTERS and at_end):
            yield from _piece(waiting, Place(file, start, unit))
            waiting, length = [], 0
    yield from _piece(waiting, Place(file, start, unit))


def _piece(parts: list[str], place: Place) -> Iterator[Example | RowProblem]:
    text = "".join(parts).strip()
    if not text:
        return
    try:
        yield Example(place, text=text)
    except RowError as error:
        yield RowProblem(place, str(error))
