"""Tell the parts of program code apart."""

from functools import lru_cache
from typing import Any, Literal

Ink = Literal["text", "keyword", "string", "number", "comment", "name"]
Run = tuple[str, Ink]

# Longer code is shown plain: a lexer can take seconds over it.
LONGEST = 60_000

_INKS: tuple[tuple[str, Ink], ...] = (
    ("Token.Comment", "comment"),
    ("Token.Keyword", "keyword"),
    ("Token.Operator.Word", "keyword"),
    ("Token.Literal.String", "string"),
    ("Token.Literal.Number", "number"),
    ("Token.Name.Tag", "keyword"),
    ("Token.Name.Decorator", "name"),
    ("Token.Name.Function", "name"),
    ("Token.Name.Class", "name"),
    ("Token.Name.Attribute", "name"),
)


def highlight(code: str, language: str) -> list[Run]:
    """Split code into runs of one ink; a language that is not known gives plain text."""
    lexer = _lexer(language.lower()) if language and len(code) <= LONGEST else None
    if lexer is None:
        return [(code, "text")]
    runs: list[Run] = []
    for kind, text in lexer.get_tokens(code):
        ink = _ink(kind)
        if runs and (runs[-1][1] == ink or text.isspace()):
            runs[-1] = (runs[-1][0] + text, runs[-1][1])
        else:
            runs.append((text, ink))
    return runs


@lru_cache(maxsize=64)
def _lexer(language: str) -> Any:
    # Pygments takes a while to import, and the window must open before anybody needs it.
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@lru_cache(maxsize=512)
def _ink(kind: object) -> Ink:
    return next((ink for prefix, ink in _INKS if str(kind).startswith(prefix)), "text")
