"""Define what the preview of training data is asked and what it answers: one JSON object per line, as dataclasses."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.pictures.stored_picture import DETAIL_CROPS


@dataclass(frozen=True)
class ReadData:
    """Ask for files to be examined for a run on `base`; the first request of all.

    Attributes:
        paths: files and folders.
        base: as in `TrainJob`; `cache` and `models_dir` too.
        max_length: tokens above which a conversation counts as too long.
        num_crops: into how many crops a picture is cut at most.
    """

    paths: Sequence[str]
    base: str
    max_length: int
    cache: str = ""
    models_dir: str = ""
    num_crops: int = DETAIL_CROPS["fast"]


@dataclass(frozen=True)
class CountKept:
    """Ask how many examples are left when those go in which the checks `drop` found something."""

    drop: Sequence[str]


@dataclass(frozen=True)
class ShowTokens:
    """Ask for some of the examples that are left, as the tokens that `method` learns from."""

    drop: Sequence[str]
    method: str
    max_length: int
    start: int
    count: int


@dataclass(frozen=True)
class WriteData:
    """Ask for the examples that are left to be written to `out` as JSON Lines.

    Copies of pictures that lie below the folder `own` (empty: of none) are put beside it.
    """

    drop: Sequence[str]
    out: str
    own: str = ""


Request = ReadData | CountKept | ShowTokens | WriteData
REQUESTS: dict[str, type[Request]] = {
    "read": ReadData,
    "kept": CountKept,
    "tokens": ShowTokens,
    "write": WriteData,
}


@dataclass(frozen=True)
class PreviewProgress:
    """Report how much of a file was read, or with stage `base` that the base is being opened."""

    stage: str
    name: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Problem:
    """Say where a row cannot be used, and why."""

    file: str
    place: str
    sentence: str


@dataclass(frozen=True)
class CheckCount:
    """Count the examples in which a check found something; `samples` are the first few."""

    check: str
    count: int
    samples: Sequence[Problem] = ()


@dataclass(frozen=True)
class DataSummary:
    """Describe what was read.

    Attributes:
        words, evidence: the recognised form, and why.
        kinds: how many conversations, preferences and texts there are.
        problem_count, problems: rows that cannot be read; the first ones.
        checks: what was found in the others.
        tokens, median, longest: of all examples; 0 where they are not counted.
        skipped: checks that could not be made.
    """

    words: str
    evidence: str
    kinds: Mapping[str, int]
    problem_count: int = 0
    problems: Sequence[Problem] = ()
    checks: Sequence[CheckCount] = ()
    tokens: int = 0
    median: int = 0
    longest: int = 0
    skipped: Sequence[str] = ()

    @property
    def examples(self) -> int:
        """Return how many examples there are."""
        return sum(self.kinds.values())


@dataclass(frozen=True)
class KeptCount:
    """Answer how many examples are left."""

    kept: int


@dataclass(frozen=True)
class TokenRow:
    """Show one example: pieces of text and whether each is learned, or the sentence that says why it is left out."""

    pieces: Sequence[tuple[str, bool]] = ()
    problem: str = ""


@dataclass(frozen=True)
class TokenRows:
    """Show some of the examples that are left."""

    start: int
    total: int
    rows: Sequence[TokenRow]


@dataclass(frozen=True)
class DataWritten:
    """Tell that the data was written."""

    out: str
    kept: int


@dataclass(frozen=True)
class PreviewFailed:
    """Report why a request could not be answered."""

    code: str
    message: str
    remedy: str | None = None


Answer = PreviewProgress | DataSummary | KeptCount | TokenRows | DataWritten | PreviewFailed
ANSWERS: dict[str, type[Answer]] = {
    "progress": PreviewProgress,
    "summary": DataSummary,
    "kept": KeptCount,
    "tokens": TokenRows,
    "written": DataWritten,
    "failed": PreviewFailed,
}


def encode(message: Request | Answer) -> str:
    """Write a request or an answer as one line, without the line end."""
    names: Mapping[str, type[Any]] = REQUESTS if isinstance(message, Request) else ANSWERS
    name = next(name for name, kind in names.items() if isinstance(message, kind))
    return json.dumps({"is": name, **dataclasses.asdict(message)}, ensure_ascii=False, separators=(",", ":"))


def decode_request(line: str) -> Request:
    """Read a request. Raises ValueError, KeyError or TypeError for what is none."""
    values = json.loads(line)
    return REQUESTS[values.pop("is")](**values)


def decode_answer(line: str) -> Answer:
    """Read an answer. Raises ValueError, KeyError or TypeError for what is none."""
    values = json.loads(line)
    kind = ANSWERS[values.pop("is")]
    if kind is DataSummary:
        values["problems"] = [Problem(**each) for each in values["problems"]]
        values["checks"] = [_check(each) for each in values["checks"]]
    elif kind is TokenRows:
        values["rows"] = [TokenRow([(text, learned) for text, learned in row["pieces"]], row["problem"])
                          for row in values["rows"]]  # fmt: skip
    return kind(**values)


def _check(values: dict[str, Any]) -> CheckCount:
    return CheckCount(values["check"], values["count"], [Problem(**each) for each in values["samples"]])
