"""Read Markdown into blocks that widgets can show, also while it is still being written.

The result is a flat list: lists and quotes are told by the depth of their paragraphs, so that a code block inside a
list can be a widget of its own. Raw HTML stays text and pictures become links: nothing is ever loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

BULLETS = ("•", "◦", "▪")
TASK = re.compile(r"\[([ xX])\]\s+")


@dataclass(frozen=True, slots=True)
class Span:
    """Hold a run of text in one style, line breaks included."""

    text: str
    bold: bool = False
    italic: bool = False
    strike: bool = False
    code: bool = False
    href: str | None = None


Spans = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Hold a paragraph or, with `heading` 1 to 6, a heading; `marker` is its bullet or number in a list."""

    spans: Spans
    heading: int = 0
    list_depth: int = 0
    quote_depth: int = 0
    marker: str = ""
    tight: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Be a line across."""


@dataclass(frozen=True, slots=True)
class Code:
    """Hold a code block; `language` is as written after the fence."""

    text: str
    language: str = ""
    list_depth: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Hold a table; `alignments` has "left", "right" or "center" for each column."""

    header: tuple[Spans, ...]
    rows: tuple[tuple[Spans, ...], ...]
    alignments: tuple[str, ...]


Block = Paragraph | Rule | Code | Table


def parse(text: str) -> list[Block]:
    """Read a whole text."""
    return list(_blocks(_parser().parse(text)))


class StreamingMarkdown:
    """Read a text that grows, parsing only what can still change: its last top-level block."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._settled: list[Block] = []
        self._tail = ""
        self._references: dict[str, Any] = {}

    def append(self, text: str) -> list[Block]:
        """Add the next piece and return all blocks so far."""
        self._tail += text.replace("\r", "")
        tokens = _parser().parse(self._tail, self._references)
        # A block whose first line is still being written may yet turn out to belong to the one before it.
        complete = self._tail.count("\n")
        tops = (i for i, token in enumerate(tokens) if token.level == 0 and token.nesting >= 0 and token.map)
        starts = [index for index in tops if (tokens[index].map or [0])[0] < complete]
        if len(starts) > 1:
            last = starts[-1]
            self._settled += _blocks(tokens[:last])
            line = (tokens[last].map or [0])[0]
            self._tail = self._tail.split("\n", line)[line]
            tokens = tokens[last:]
        return [*self._settled, *_blocks(tokens)]


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    # The window does not wait for this import at its start.
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


@dataclass
class _List:
    """Remember where a list is: the next number, or None for bullets."""

    number: int | None


class _Walk:
    """Go through the tokens once, keeping the open lists and quotes."""

    def __init__(self) -> None:
        self._lists: list[_List] = []
        self._quotes = 0
        self._marker = ""

    def blocks(self, tokens: Sequence[Token]) -> Iterator[Block]:
        """Yield the blocks of a run of top-level tokens."""
        position = 0
        while position < len(tokens):
            token = tokens[position]
            if token.type == "table_open":
                end = _closing(tokens, position)
                yield _table(tokens[position:end])
                position = end
            elif token.type in ("fence", "code_block"):
                yield from self._empty_item()
                yield self._code(token)
            elif token.type == "hr":
                yield Rule()
            elif token.type == "list_item_close":
                yield from self._empty_item()
            elif token.type == "inline":
                yield self._paragraph(token, tokens[position - 1])
            else:
                self._enter_or_leave(token)
            position += 1

    def _enter_or_leave(self, token: Token) -> None:
        match token.type:
            case "bullet_list_open":
                self._lists.append(_List(None))
            case "ordered_list_open":
                self._lists.append(_List(int(token.attrs.get("start", 1))))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "blockquote_open":
                self._quotes += 1
            case "blockquote_close":
                self._quotes -= 1
            case "list_item_open":
                self._marker = self._next_marker()

    def _next_marker(self) -> str:
        current = self._lists[-1]
        if current.number is None:
            return BULLETS[min(len(self._lists), len(BULLETS)) - 1]
        current.number += 1
        return f"{current.number - 1}."

    def _empty_item(self) -> Iterator[Paragraph]:
        """Show the marker of a list item that has no text before what follows."""
        if self._marker:
            marker, self._marker = self._marker, ""
            yield Paragraph((), list_depth=len(self._lists), quote_depth=self._quotes, marker=marker)

    def _paragraph(self, token: Token, opening: Token) -> Paragraph:
        marker, self._marker = self._marker, ""
        spans = tuple(_spans(token.children or ()))
        task = TASK.match(spans[0].text) if marker in BULLETS and spans else None
        if task:
            marker = "☐" if task[1] == " " else "☑"
            spans = (replace(spans[0], text=spans[0].text[task.end() :]), *spans[1:])
        return Paragraph(
            spans,
            heading=int(opening.tag[1]) if opening.type == "heading_open" else 0,
            list_depth=len(self._lists),
            quote_depth=self._quotes,
            marker=marker,
            tight=opening.hidden,
        )

    def _code(self, token: Token) -> Code:
        language = token.info.split(maxsplit=1)[0] if token.info.strip() else ""
        return Code(token.content.removesuffix("\n"), language, len(self._lists))


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    return _Walk().blocks(tokens)


def _closing(tokens: Sequence[Token], start: int) -> int:
    """Return the position of the token that closes the one at `start`."""
    kind = tokens[start].type.replace("_open", "_close")
    level = tokens[start].level
    return next(i for i in range(start, len(tokens)) if tokens[i].type == kind and tokens[i].level == level)


def _table(tokens: Sequence[Token]) -> Table:
    rows: list[list[Spans]] = []
    alignments: list[str] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "th_open":
            alignments.append(str(token.attrs.get("style", "")).removeprefix("text-align:") or "left")
        elif token.type == "inline":
            rows[-1].append(tuple(_spans(token.children or ())))
    return Table(tuple(rows[0]), tuple(tuple(row) for row in rows[1:]), tuple(alignments))


def _spans(tokens: Iterable[Token]) -> Iterator[Span]:
    """Yield the runs of one paragraph, joining neighbours of the same style."""
    style = Span("")
    run: Span | None = None
    for token in tokens:
        style = _styled(style, token)
        piece = _piece(style, token)
        if piece is None:
            continue
        if run is not None and replace(run, text="") == replace(piece, text=""):
            run = replace(run, text=run.text + piece.text)
            continue
        if run is not None:
            yield run
        run = piece
    if run is not None:
        yield run


def _styled(style: Span, token: Token) -> Span:
    """Return the style after a token that opens or closes one."""
    begins = token.nesting == 1
    match token.tag if token.nesting else "":
        case "strong":
            return replace(style, bold=begins)
        case "em":
            return replace(style, italic=begins)
        case "s":
            return replace(style, strike=begins)
        case "a":
            return replace(style, href=str(token.attrs.get("href", "")) if begins else None)
    return style


def _piece(style: Span, token: Token) -> Span | None:
    """Return the text of a token in its style, or None if it has none."""
    match token.type:
        case "code_inline":
            return replace(style, text=token.content, code=True)
        case "softbreak" | "hardbreak":
            # Models break lines where they mean it, so both kinds of break are kept.
            return replace(style, text="\n")
        case "image":
            return replace(style, text=token.content or "image", href=str(token.attrs.get("src", "")))
        case _ if token.content:
            return replace(style, text=token.content)
    return None
