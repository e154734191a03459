"""Look at every example of some files once, note what each check finds, and say which ones to keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.data.chat_markers import chat_marker, unfilled_slot
from engine.data.contamination import Contamination
from engine.data.example import Example, Kind, Place, RowProblem
from engine.data.languages import UNSURE, LanguageGuesser
from engine.data.libraries import is_installed
from engine.data.near_duplicates import DEFAULT_THRESHOLD, NearDuplicates
from engine.data.personal_data import personal_data
from engine.data.reader import DataFile, Recognition, data_files
from engine.data.turn_order import turn_order_problem
from engine.errors import EngineError

CHECKS = {
    "duplicate": "exact duplicates",
    "near-duplicate": "near-duplicates",
    "empty": "empty turns",
    "too-long": "too long",
    "template": "chat tokens in the text",
    "roles": "turns out of order",
    "language": "another language",
    "contaminated": "repeat an evaluation",
    "personal-data": "seem to hold personal data",
    "slots": "unfilled slots",
}
MOST_PROBLEMS = 1000

_REPEATS = ("duplicate", "near-duplicate")


@dataclass(frozen=True, slots=True)
class Finding:
    """Say what a check found in an example, as the rest of a sentence."""

    check: str
    detail: str


@dataclass(frozen=True, slots=True)
class ExampleRecord:
    """Keep of an example what its checks need: its hash, its group, what was found."""

    place: Place
    kind: Kind
    content_hash: bytes
    leader: int
    tokens: int
    language: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Choose what is looked for.

    Attributes:
        max_tokens: the most tokens of a conversation (0: no limit).
        count_tokens: gives the tokens of a conversation or preference; None leaves them uncounted.
        guess_language: whether languages are told apart.
        language: the one to keep; empty means that of most examples.
        near_threshold: the least likeness of near-duplicates; None leaves them unsought.
        evaluations: files that no example may repeat.
    """

    max_tokens: int = 0
    count_tokens: Callable[[Example], int] | None = None
    guess_language: bool = True
    language: str = ""
    near_threshold: float | None = None
    evaluations: tuple[Path, ...] = ()


def installed_checks() -> CheckOptions:
    """Choose every check whose library is installed."""
    near = DEFAULT_THRESHOLD if is_installed("datasketch") else None
    return CheckOptions(guess_language=is_installed("py3langid"), near_threshold=near)


@dataclass(slots=True)
class Examination:
    """Hold what was seen of some files.

    Attributes:
        options: what was looked for.
        sources: the files, and what each was taken for.
        records: one for each example, in order.
        problems: the first thousand rows that could not be read; `problem_count` counts all.
    """

    options: CheckOptions
    sources: list[tuple[DataFile, Recognition]]
    records: list[ExampleRecord] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    problem_count: int = 0

    def kept(self, drop: Collection[str]) -> list[int]:
        """Give the numbers of the examples to keep when those in which the checks `drop` found something go.

        Of equal examples the first that is kept otherwise stays.
        """
        faults = set(drop).difference(_REPEATS)
        kept_hashes: set[bytes] = set()
        kept_groups: set[int] = set()
        numbers = []
        for number, record in enumerate(self.records):
            found = {finding.check for finding in record.findings}
            repeats = "duplicate" in found.intersection(drop) and record.content_hash in kept_hashes
            repeats |= "near-duplicate" in found.intersection(drop) and record.leader in kept_groups
            if repeats or found & faults:
                continue
            numbers.append(number)
            kept_hashes.add(record.content_hash)
            kept_groups.add(record.leader)
        return numbers

    def groups(self) -> list[int]:
        """Give for each example the number of the first that it belongs with: alike, or from the same row."""
        first_of_row: dict[Place, int] = {}
        groups = list(range(len(self.records)))
        for number, record in enumerate(self.records):
            for other in (record.leader, first_of_row.setdefault(record.place, number)):
                one, two = _root(groups, number), _root(groups, other)
                groups[max(one, two)] = min(one, two)
        return [_root(groups, number) for number in range(len(groups))]

    def examples(self, numbers: Sequence[int]) -> Iterator[Example]:
        """Read the files again and give the examples of these numbers, which must rise.

        Raises EngineError `input_invalid` when a file has changed in between.
        """
        wanted = iter(numbers)
        following = next(wanted, None)
        found = (item for file, _ in self.sources for item in file.items() if isinstance(item, Example))
        for number, example in enumerate(found):
            if following is None:
                return
            if number >= len(self.records) or example.content_hash() != self.records[number].content_hash:
                break
            if number == following:
                yield example
                following = next(wanted, None)
        if following is not None:
            raise EngineError("input_invalid", "The data changed while it was read.", "Start again.")


def examine(
    paths: Sequence[Path],
    options: CheckOptions,
    progress: Callable[[str, int, int], None] | None = None,
) -> Examination:
    """Read files and folders and check every example.

    `progress` gets the name of a file, and how much of it is done; what it raises ends the examination. Raises
    EngineError `input_invalid` for a file that cannot be used, `model_unsupported` when a library is missing.
    """
    files = [DataFile(file, _name(file, path)) for path in paths for file in data_files(path)]
    examination = Examination(options, [(file, file.recognition) for file in files])
    examiner = _Examiner(options)
    for file in files:
        report = None if progress is None else _named(progress, file.name)
        for item in file.items(report):
            if isinstance(item, Example):
                examination.records.append(examiner.record(len(examination.records), item))
                continue
            examination.problem_count += 1
            if len(examination.problems) < MOST_PROBLEMS:
                examination.problems.append(item)
    if options.guess_language:
        _note_languages(examination, options.language)
    return examination


def _root(groups: list[int], number: int) -> int:
    while groups[number] != number:
        groups[number] = groups[groups[number]]
        number = groups[number]
    return number


def _name(file: Path, given: Path) -> str:
    return file.relative_to(given).as_posix() if given.is_dir() else file.name


def _named(progress: Callable[[str, int, int], None], name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


class _Examiner:
    """Hold what the checks remember from one example to the next."""

    def __init__(self, options: CheckOptions) -> None:
        self._options = options
        self._hashes: dict[bytes, int] = {}
        self._places: list[Place] = []
        near = options.near_threshold
        self._near = None if near is None else NearDuplicates(near)
        self._guesser = LanguageGuesser() if options.guess_language else None
        self._contamination = Contamination()
        for path in options.evaluations:
            self._contamination.add_file(path)

    def record(self, number: int, example: Example) -> ExampleRecord:
        content_hash = example.content_hash()
        findings = list(self._findings(example))
        leader = self._hashes.setdefault(content_hash, number)
        self._places.append(example.place)
        if leader != number:
            findings.append(Finding("duplicate", f"is the same as {self._place(leader, example)}"))
        elif self._near is not None:
            leader = self._near.leader(number, example)
            # The examples of one row, such as the pairs of a tree, are meant to differ.
            if leader != number and self._places[leader] != example.place:
                findings.append(Finding("near-duplicate", f"is nearly the same as {self._place(leader, example)}"))
            self._hashes[content_hash] = leader
        tokens = self._tokens(example)
        if self._options.max_tokens and tokens > self._options.max_tokens:
            findings.append(Finding("too-long", f"has {tokens:,} tokens"))
        language = self._guesser.guess(example) if self._guesser else UNSURE
        return ExampleRecord(example.place, example.kind, content_hash, leader, tokens, language, tuple(findings))

    def _findings(self, example: Example) -> Iterator[Finding]:
        if any(not text.strip() for text in example.texts()) or not any(example.texts()):
            yield Finding("empty", "has an empty turn" if example.kind != "text" else "is empty")
        if marker := chat_marker(example.texts()):
            yield Finding("template", marker)
        if order := turn_order_problem(example):
            yield Finding("roles", order)
        if evaluation := self._contamination.found_in(example):
            yield Finding("contaminated", f"repeats {evaluation}")
        if kinds := personal_data(example.texts()):
            yield Finding("personal-data", f"seems to hold: {', '.join(kinds)}")
        if slot := unfilled_slot(example.texts()):
            yield Finding("slots", slot)

    def _tokens(self, example: Example) -> int:
        # Texts are cut to length when they are packed, so they are never too long.
        count = self._options.count_tokens
        return 0 if count is None or example.kind == "text" else count(example)

    def _place(self, number: int, example: Example) -> str:
        place = self._places[number]
        return str(place) if place.file == example.place.file else f"{place} of {place.file}"


def _note_languages(examination: Examination, wanted: str) -> None:
    """Add a finding to every example that is surely in another language than the one wanted, or than most are."""
    counts = Counter(record.language for record in examination.records if record.language != UNSURE)
    if not counts:
        return
    wanted = wanted or counts.most_common(1)[0][0]
    for number, record in enumerate(examination.records):
        if record.language not in (UNSURE, wanted):
            finding = Finding("language", f"is in {record.language!r}, not in {wanted!r}")
            examination.records[number] = replace(record, findings=(*record.findings, finding))
