"""Sum up what was found in training data, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.data.examination import CHECKS, CheckOptions, Examination
from engine.data.example import RowProblem

_SAMPLES = 5
_SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Say what a file was taken for, and why."""

    file: str
    format: str
    words: str
    evidence: str
    share: float
    encoding: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Show one finding: where, and what."""

    file: str
    place: str
    detail: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Count what a check found; `samples` are the first few."""

    check: str
    words: str
    count: int
    dropped: bool
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class TokenReport:
    """Sum up the lengths of the examples in tokens."""

    total: int
    median: int
    longest: int


@dataclass(frozen=True, slots=True)
class DataReport:
    """Hold the figures of some files.

    Attributes:
        examples: how many of each kind.
        kept: how many were written; None where nothing was to be written.
        problem_count: rows that could not be read, of which `problems` lists the first thousand.
        languages: how many examples in each language, `?` where it could not be told; empty where not asked.
        tokens: None where they were not counted.
        skipped: the checks that were not made.
    """

    sources: tuple[SourceReport, ...]
    examples: dict[str, int]
    kept: int | None
    problem_count: int
    problems: tuple[RowProblem, ...]
    checks: tuple[CheckReport, ...]
    languages: dict[str, int]
    tokens: TokenReport | None
    skipped: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the report as plain values."""
        return asdict(self)

    def to_text(self) -> str:
        """Give the report in lines to read."""
        lines = [f"{source.file}: {source.words}. {source.evidence}" for source in self.sources]
        counts = [f"{count:,} {kind}{'s' if count != 1 else ''}" for kind, count in self.examples.items()]
        lines.append(", ".join(counts) or "no examples")
        lines += self._token_lines() + self._language_lines()
        for check in self.checks:
            lines.append(f"{check.count:>8,}  {check.words}{' (left out)' if check.dropped else ''}")
            lines += [f"          {sample.place}: {sample.detail}" for sample in check.samples]
        if self.problem_count:
            lines.append(f"{self.problem_count:>8,}  rows cannot be read")
            lines += [f"          {item.place}: {item.sentence}" for item in self.problems[:_SHOWN_PROBLEMS]]
            more = self.problem_count - _SHOWN_PROBLEMS
            lines += [f"          and {more:,} more"] if more > 0 else []
        if self.skipped:
            lines.append(f"not looked for: {', '.join(CHECKS[check] for check in self.skipped)}")
        if self.kept is not None:
            lines.append(f"{self.kept:,} of {sum(self.examples.values()):,} examples kept")
        return "\n".join(lines)

    def _token_lines(self) -> list[str]:
        if self.tokens is None:
            return []
        figures = self.tokens
        return [f"{figures.total:,} tokens, half of the examples up to {figures.median:,}, longest {figures.longest:,}"]

    def _language_lines(self) -> list[str]:
        total = sum(self.languages.values())
        if not total:
            return []
        shares = [f"{name} {count / total:.1%}" for name, count in self.languages.items()]
        return [f"languages: {', '.join(shares[:8])}"]


def make_report(
    examination: Examination, *, drop: Collection[str] = (), kept: Sequence[int] | None = None
) -> DataReport:
    """Sum up an examination; `drop` names the checks whose findings were left out."""
    records = examination.records
    guessed = Counter(record.language for record in records)
    return DataReport(
        sources=tuple(
            SourceReport(file.name, r.format, r.words, r.evidence, r.share, r.encoding)
            for file, r in examination.sources
        ),
        examples=dict(Counter(record.kind for record in records).most_common()),
        kept=None if kept is None else len(kept),
        problem_count=examination.problem_count,
        problems=tuple(examination.problems),
        checks=_checks(examination, drop),
        languages=dict(guessed.most_common()) if set(guessed) - {"?"} else {},
        tokens=_tokens([record.tokens for record in records if record.kind != "text"])
        if examination.options.count_tokens
        else None,
        skipped=_skipped(examination.options),
    )


def _skipped(options: CheckOptions) -> tuple[str, ...]:
    made = {
        "near-duplicate": options.near_threshold is not None,
        "too-long": options.max_tokens > 0,
        "language": options.guess_language,
        "contaminated": bool(options.evaluations),
    }
    return tuple(check for check, is_made in made.items() if not is_made)


def _checks(examination: Examination, drop: Collection[str]) -> tuple[CheckReport, ...]:
    """Count the findings of each check that found something."""
    counts: Counter[str] = Counter()
    samples: dict[str, list[Sample]] = {}
    for record in examination.records:
        for finding in record.findings:
            counts[finding.check] += 1
            shown = samples.setdefault(finding.check, [])
            if len(shown) < _SAMPLES:
                shown.append(Sample(record.place.file, str(record.place), finding.detail))
    return tuple(
        CheckReport(check, words, counts[check], check in drop, tuple(samples[check]))
        for check, words in CHECKS.items()
        if counts[check]
    )


def _tokens(lengths: list[int]) -> TokenReport | None:
    if not lengths:
        return None
    return TokenReport(sum(lengths), sorted(lengths)[len(lengths) // 2], max(lengths))
