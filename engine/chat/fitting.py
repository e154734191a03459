"""Leave out the oldest turns of a conversation that has outgrown the context."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.errors import EngineError
from engine.protocol import Message

# Turns go in blocks of a part of the context, so that the start of the prompt stays the same for several answers.
_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    """Hold the ids of what fits and the number of messages that were left out."""

    ids: list[int]
    dropped_messages: int


def fit_prompt(
    messages: Sequence[Message], encode: Callable[[Sequence[Message]], list[int]], *, limit: int, reserve: int
) -> FittedPrompt:
    """Fit a conversation into `limit` tokens and leave `reserve` for the answer where that is possible.

    System messages at the start and the last user turn always stay; raises EngineError `prompt_too_long` when they
    alone are too long.
    """
    ids, dropped = encode(messages), 0
    excess = len(ids) - (limit - reserve)
    head, cuts = _head(messages), _cuts(messages)
    if excess > 0 and cuts:
        block = max(1, limit // _BLOCKS)
        to_drop, whole = -(-excess // block) * block, len(ids)

        def rest(cut: int) -> list[int]:
            return encode([*messages[:head], *messages[cut:]])

        index = bisect.bisect_left(cuts, to_drop, key=lambda cut: whole - len(rest(cut)))
        cut = cuts[min(index, len(cuts) - 1)]
        ids, dropped = rest(cut), cut - head
    if len(ids) >= limit:
        sentence = f"The last message is too long: {len(ids):,} tokens where {limit:,} fit."
        raise EngineError("prompt_too_long", sentence, "Shorten it, or allow a larger context.")
    return FittedPrompt(ids, dropped)


def _head(messages: Sequence[Message]) -> int:
    """Count the system messages at the start."""
    return next((index for index, message in enumerate(messages) if message.role != "system"), len(messages))


def _cuts(messages: Sequence[Message]) -> list[int]:
    """Give the places where the rest of a conversation can begin: at a user turn other than the first."""
    head = _head(messages)
    return [index for index, message in enumerate(messages) if message.role == "user" and index > head]
