"""Show an example as the tokens that training sees, and which of them are learned."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.data.labels import MASKED, LabelledTokens


@dataclass(frozen=True, slots=True)
class TokenPiece:
    """Hold one token: its id, what it adds to the text, and whether it is learned."""

    id: int
    text: str
    learned: bool


def token_view(tokens: LabelledTokens, piece: Callable[[int], bytes]) -> list[TokenPiece]:
    """Give every token with its text; `piece` gives the bytes of a token, special ones as they are spelled.

    A character that several tokens make together is the text of the last of them; bytes that make none are shown as
    U+FFFD, so that joining the texts gives the whole.
    """
    return list(_pieces(tokens, piece))


def _pieces(tokens: LabelledTokens, piece: Callable[[int], bytes]) -> Iterator[TokenPiece]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    last = len(tokens.ids) - 1
    for index, (token, label) in enumerate(zip(tokens.ids, tokens.labels, strict=True)):
        yield TokenPiece(token, decoder.decode(piece(token), final=index == last), label != MASKED)
