"""Read the message trees of Open Assistant: threads of the best answers, and which answer was preferred to which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from engine.data.example import RowError
from engine.data.turns import ROLES, text_of
from engine.protocol import Message, Role

Numbered = tuple[int, Any]
Thread = tuple[Message, ...]
Pair = tuple[Thread, Message, Message]


def threads(root: dict[str, Any]) -> Iterator[Thread]:
    """Give the ways from the first question down to a last answer that take the best-ranked answer each time."""
    yield from _threads(root, ())


def ranked_pairs(root: dict[str, Any]) -> Iterator[Pair]:
    """Give every prompt with two answers of different rank, the better one first."""
    yield from _pairs(root, ())


def joined_messages(rows: Iterable[Numbered]) -> Iterator[Numbered]:
    """Join rows that are one message each to the trees that they make; other rows pass as they are.

    The messages of a tree must follow each other, as they do where such data is published; the tree has the number of
    its first one.
    """
    waiting: list[Numbered] = []
    for number, row in rows:
        if not _is_message(row):
            yield from _tree_of(waiting)
            waiting = []
            yield number, row
            continue
        if waiting and waiting[0][1].get("message_tree_id") != row.get("message_tree_id"):
            yield from _tree_of(waiting)
            waiting = []
        waiting.append((number, row))
    yield from _tree_of(waiting)


def _is_message(row: Any) -> bool:
    names = ("message_tree_id", "message_id", "parent_id", "role", "text")
    return isinstance(row, dict) and all(name in row for name in names) and not row.get("replies")


def _tree_of(messages: list[Numbered]) -> Iterator[Numbered]:
    """Give the tree of some messages, and a RowError for each of which the parent is not among them."""
    nodes = {str(row["message_id"]): {**row, "replies": []} for _, row in messages}
    # A parent comes before its replies, so no circle can be made.
    seen: dict[str, dict[str, Any]] = {}
    for number, row in messages:
        node, parent = nodes[str(row["message_id"])], row["parent_id"]
        if parent and str(parent) not in seen:
            yield number, RowError("The message that this one answers does not stand before it.")
            continue
        if parent:
            seen[str(parent)]["replies"].append(node)
        seen[str(row["message_id"])] = node
    yield from ((number, nodes[str(row["message_id"])]) for number, row in messages if not row["parent_id"])


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
