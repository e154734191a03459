"""Examine training data for the window, in a process of its own: `python -m engine.training.preview`.

Requests come on standard input, answers go to standard output (preview_protocol.py); end of input ends the process.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from converter.errors import ConversionError
from engine.data.examination import Examination, examine, installed_checks
from engine.data.example import Example
from engine.data.labels import LabelledTokens
from engine.data.output import check_out, write_examples
from engine.data.picture_copies import with_copies
from engine.data.report import DataReport, make_report
from engine.data.token_view import token_view
from engine.errors import EngineError
from engine.training.base import open_base
from engine.training.chat_encoding import ChatEncoding
from engine.training.dataset import build_dataset
from engine.training.picture_sizes import PictureSizes
from engine.training.preview_protocol import (
    Answer,
    CheckCount,
    CountKept,
    DataSummary,
    DataWritten,
    KeptCount,
    PreviewFailed,
    PreviewProgress,
    Problem,
    ReadData,
    Request,
    ShowTokens,
    TokenRow,
    TokenRows,
    WriteData,
    decode_request,
    encode,
)
from engine.training.token_pieces import token_pieces
from engine.training.vision_encoding import VisionEncoding

PROBLEMS_SHOWN = 100
LONGEST_SHOWN = 2000

Send = Callable[[Answer], None]


class Preview:
    """Hold the examined data and answer requests about it."""

    def __init__(self, send: Send) -> None:
        """Take where answers go."""
        self._send = send
        self._encoding: ChatEncoding | None = None
        self._piece: Callable[[int], bytes] = lambda _: b""
        self._examination: Examination | None = None
        self._sources: list[Path] = []

    def answer(self, request: Request) -> None:
        """Carry out one request; a known failure is an answer too."""
        try:
            match request:
                case ReadData():
                    self._read(request)
                case CountKept():
                    self._send(KeptCount(len(self._examined.kept(request.drop))))
                case ShowTokens():
                    self._send(self._tokens(request))
                case WriteData():
                    self._write(request)
        except (EngineError, ConversionError) as error:
            self._send(PreviewFailed(error.code, error.message, error.remedy))
        except MemoryError:
            remedy = "Divide the data into smaller files."
            self._send(PreviewFailed("out_of_memory", "This computer ran out of memory.", remedy))
        except OSError as error:
            sentence = f"A file cannot be read or written: {error.strerror}."
            self._send(PreviewFailed("file_failed", sentence, "Check the file and the free space."))

    @property
    def _examined(self) -> Examination:
        if self._examination is None:
            raise EngineError("bad_request", "No data has been read yet.", "Choose the data first.")
        return self._examination

    def _read(self, request: ReadData) -> None:
        self._send(PreviewProgress("base"))
        library = Path(request.models_dir) if request.models_dir else None
        base = open_base(request.base, Path(request.cache), library)
        sizes = PictureSizes(request.num_crops)
        encoding = self._encoding = VisionEncoding(base, sizes) if base.sees else ChatEncoding(base)
        self._piece = token_pieces(base.vocabulary)
        self._sources = [Path(path) for path in request.paths]
        options = replace(
            installed_checks(),
            max_tokens=request.max_length,
            count_tokens=lambda example: count_tokens(encoding, example),
        )
        self._examination = examine(self._sources, options, _paced(self._send))
        self._send(summary(make_report(self._examination)))

    def _tokens(self, request: ShowTokens) -> TokenRows:
        numbers = self._examined.kept(request.drop)
        wanted = numbers[request.start : request.start + request.count]
        rows = [self._row(example, request) for example in self._examined.examples(wanted)]
        return TokenRows(request.start, len(numbers), rows)

    def _row(self, example: Example, request: ShowTokens) -> TokenRow:
        assert self._encoding is not None
        try:
            item = build_dataset([example], self._encoding, request.method, request.max_length).items[0]
        except EngineError as error:
            return TokenRow(problem=error.message)
        sample = item.samples[0]
        tokens = LabelledTokens(list(sample.ids[:LONGEST_SHOWN]), list(sample.labels[:LONGEST_SHOWN]))
        return TokenRow(_joined((piece.text, piece.learned) for piece in token_view(tokens, self._piece)))

    def _write(self, request: WriteData) -> None:
        out = Path(request.out)
        check_out(out, self._sources)
        kept = self._examined.kept(request.drop)
        if not kept:
            raise EngineError("input_invalid", "No example would be left.", "Leave out less.")
        report = make_report(self._examined, drop=request.drop, kept=kept)
        size = sum(file.size for file, _ in self._examined.sources)
        examples: Iterable[Example] = self._examined.examples(kept)
        if request.own:
            examples = with_copies(examples, Path(request.own), out.with_name(f"{out.stem}-pictures"))
        write_examples(out, examples, report, size)
        self._send(DataWritten(str(out), len(kept)))


def count_tokens(encoding: ChatEncoding, example: Example) -> int:
    """Count as training does, of a preference the longer way; 0 where the template refuses the conversation."""
    ways = (example.chosen, example.rejected) if example.kind == "preference" else ((),)
    try:
        return max(len(encoding.encode([*example.messages, *way], add_generation_prompt=False)) for way in ways)
    except EngineError:
        return 0


def summary(report: DataReport) -> DataSummary:
    """Put a report into the words of the protocol."""
    forms = dict.fromkeys(source.words for source in report.sources)
    first = report.sources[0].evidence if report.sources else ""
    tokens = report.tokens
    return DataSummary(
        words=", ".join(forms),
        evidence=first if len(report.sources) == 1 else "",
        kinds=report.examples,
        problem_count=report.problem_count,
        problems=[
            Problem(each.place.file, str(each.place), each.sentence) for each in report.problems[:PROBLEMS_SHOWN]
        ],
        checks=[
            CheckCount(
                check.check, check.count, [Problem(each.file, each.place, each.detail) for each in check.samples]
            )
            for check in report.checks
        ],
        tokens=tokens.total if tokens else 0,
        median=tokens.median if tokens else 0,
        longest=tokens.longest if tokens else 0,
        skipped=[check for check in report.skipped if check != "contaminated"],
    )


def _paced(send: Send) -> Callable[[str, int, int], None]:
    """Report each percent once."""
    last: tuple[str, int] = ("", -1)

    def report(name: str, done: int, total: int) -> None:
        nonlocal last
        now = name, 100 * done // max(total, 1)
        if now != last:
            last = now
            send(PreviewProgress("read", name, done, total))

    return report


def _joined(pieces: Iterator[tuple[str, bool]]) -> Sequence[tuple[str, bool]]:
    """Put neighbours that are alike together; a reader sees spans, not tokens."""
    spans: list[tuple[str, bool]] = []
    for text, learned in pieces:
        if spans and spans[-1][1] == learned:
            spans[-1] = spans[-1][0] + text, learned
        else:
            spans.append((text, learned))
    return spans


def main() -> int:
    """Answer until the input ends. Whatever libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(answer: Answer) -> None:
        answers.write(encode(answer) + "\n")
        answers.flush()

    preview = Preview(send)
    # The file object's own iteration reads ahead, which would hold requests back.
    for line in iter(sys.stdin.readline, ""):
        try:
            request = decode_request(line)
        except (ValueError, KeyError, TypeError):
            send(PreviewFailed("bad_request", "The request cannot be read."))
            continue
        try:
            preview.answer(request)
        except BrokenPipeError:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
