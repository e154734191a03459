"""Check the order of turns: what the model says must follow what was said to it, and come last."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from engine.data.example import Example
from engine.protocol import Message


def turn_order_problem(example: Example) -> str | None:
    """Say what is wrong with the order of an example's turns; texts have none."""
    if example.kind == "text":
        return None
    if example.kind == "conversation":
        return _problem(example.messages)
    return _problem(example.messages + example.chosen) or _problem(example.messages + example.rejected)


def _problem(messages: Sequence[Message]) -> str | None:
    roles = [message.role for message in messages]
    while roles and roles[0] == "system":
        roles.pop(0)
    if "assistant" not in roles:
        return "has no answer"
    if roles[0] == "assistant":
        return "begins with an answer"
    if "system" in roles:
        return "has a system message in the middle"
    if roles[-1] != "assistant":
        return "does not end with an answer"
    if any(one == other for one, other in itertools.pairwise(roles)):
        return "has two turns of the same side in a row"
    return None
