"""Read the message trees of Open Assistant: threads of the best answers, and which answer was preferred to which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.data.example import RowError
from engine.data.turns import ROLES, text_of
from engine.protocol import Message, Role

Thread = tuple[Message, ...]
Pair = tuple[Thread, Message, Message]


def threads(root: dict[str, Any]) -> Iterator[Thread]:
    """Give the ways from the first question down to a last answer that take the best-ranked answer each time."""
    yield from _threads(root, ())


def ranked_pairs(root: dict[str, Any]) -> Iterator[Pair]:
    """Give every prompt with two answers of different rank, the better one first."""
    yield from _pairs(root, ())


def _threads(node: dict[str, Any], before: Thread) -> Iterator[Thread]:
    thread = (*before, _message(node))
    replies = _replies(node)
    answers = [reply for reply in replies if _role(reply) == "assistant"]
    ways = [min(answers, key=_rank)] if answers else [reply for reply in replies if reply.get("replies")]
    went_on = False
    for way in ways:
        for whole in _threads(way, thread):
            went_on = True
            yield whole
    if not went_on and thread[-1].role == "assistant":
        yield thread


def _pairs(node: dict[str, Any], before: Thread) -> Iterator[Pair]:
    thread = (*before, _message(node))
    ranked = sorted(
        (reply for reply in _replies(node) if _role(reply) == "assistant" and reply.get("rank") is not None), key=_rank
    )
    for index, better in enumerate(ranked):
        for worse in ranked[index + 1 :]:
            if _rank(better) < _rank(worse):
                yield thread, _message(better), _message(worse)
    for reply in _replies(node):
        yield from _pairs(reply, thread)


def _replies(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the replies that were neither deleted nor refused by the reviewers."""
    replies = node.get("replies") or []
    if not isinstance(replies, list) or not all(isinstance(reply, dict) for reply in replies):
        raise RowError("`replies` is no list of messages.")
    return [reply for reply in replies if not reply.get("deleted") and reply.get("review_result") is not False]


def _role(node: dict[str, Any]) -> Role | None:
    return ROLES.get(str(node.get("role")).lower())


def _rank(node: dict[str, Any]) -> float:
    rank = node.get("rank")
    return float(rank) if isinstance(rank, int | float) else float("inf")


def _message(node: dict[str, Any]) -> Message:
    role = _role(node)
    if role is None:
        raise RowError("A message of the tree has no known role.")
    return Message(role, text_of(node.get("text"), "text"))
