"""Know the forms in which rows of training data are published, and turn each into examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data import message_trees
from engine.data.example import Example, Place, RowError
from engine.data.turns import marked_turns, picture_path, place_pictures, text_of, turns_of
from engine.protocol import Message

Row = dict[str, Any]

PROMPTS = ("prompt", "instruction", "question", "query", "input", "problem")
ANSWERS = ("completion", "response", "output", "answer", "solution", "target")
TEXTS = ("text", "content", "document", "body")
CONVERSATIONS = ("messages", "conversations", "conversation", "dialogue", "dialog")


@dataclass(frozen=True, slots=True)
class RowFormat:
    """Describe one form.

    Attributes:
        name: its code.
        words: how it is called in a sentence.
        evidence: what in a row tells it.
        fits: whether a row looks like it.
        read: gives the examples of a row; raises RowError.
    """

    name: str
    words: str
    evidence: str
    fits: Callable[[Row], bool]
    read: Callable[[Row, Place, Path], Iterator[Example]]


def first_of(row: Row, names: tuple[str, ...]) -> str | None:
    """Give the first of some columns that a row has."""
    return next((name for name in names if name in row), None)


def _pictures(row: Row, folder: Path) -> list[str]:
    value = row.get("images", row.get("image"))
    if not value:
        return []
    return [picture_path(item, folder) for item in (value if isinstance(value, list) else [value])]


def _with_system(row: Row, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Put the system message and the tools of a row, if it has them, in front."""
    tools = row.get("tools")
    listed = json.dumps(tools, ensure_ascii=False, default=str) if isinstance(tools, list) else text_of(tools, "tools")
    parts = (text_of(row.get("system"), "system"), listed)
    text = "\n\n".join(part for part in parts if part.strip() not in ("", "[]"))
    return (Message("system", text), *messages) if text else messages


def _read_conversation(row: Row, place: Place, folder: Path) -> Iterator[Example]:
    name = first_of(row, CONVERSATIONS)
    assert name is not None
    messages = place_pictures(turns_of(row[name], name, folder), _pictures(row, folder))
    yield Example(place, _with_system(row, messages))


def _has_turns(row: Row, role: str) -> bool:
    value = row.get(first_of(row, CONVERSATIONS) or "")
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and role in value[0]


def _exchange(row: Row, question: str, answer: str) -> tuple[Message, ...]:
    return _with_system(row, (Message("user", question), Message("assistant", answer)))


def _read_alpaca(row: Row, place: Place, folder: Path) -> Iterator[Example]:
    parts = [text_of(row.get(name), name) for name in ("instruction", "input", "context")]
    question = "\n".join(part for part in parts if part)
    answer = first_of(row, ANSWERS)
    messages = _exchange(row, question, text_of(row.get(answer or ""), answer or "output"))
    yield Example(place, place_pictures(_history(row, messages), _pictures(row, folder)))


def _history(row: Row, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Put earlier exchanges before the last one."""
    earlier: list[Message] = []
    for pair in row.get("history") or []:
        if not isinstance(pair, list) or len(pair) != 2:
            raise RowError("`history` is no list of questions with answers.")
        earlier += [Message("user", text_of(pair[0], "history")), Message("assistant", text_of(pair[1], "history"))]
    return (*messages[:-2], *earlier, *messages[-2:])


def _read_tasks(row: Row, place: Place, folder: Path) -> Iterator[Example]:
    for instance in row["instances"]:
        if not isinstance(instance, dict):
            raise RowError("An instance is no object with input and output.")
        yield from _read_alpaca({"instruction": row["instruction"], **instance}, place, folder)


def _read_pair(row: Row, place: Place, folder: Path) -> Iterator[Example]:
    prompt, answer = first_of(row, PROMPTS), first_of(row, ANSWERS)
    assert prompt is not None and answer is not None
    if row.get("label") is False:
        raise RowError("The row is labelled as a bad answer.")
    if isinstance(row[prompt], list):
        question = turns_of(row[prompt], prompt, folder)
        more = row[answer]
        reply = turns_of(more, answer, folder) if isinstance(more, list) else _answer(more, answer)
        yield Example(place, place_pictures((*question, *reply), _pictures(row, folder)))
        return
    messages = _exchange(row, text_of(row[prompt], prompt), text_of(row[answer], answer))
    yield Example(place, place_pictures(messages, _pictures(row, folder)))


def _answer(value: Any, what: str) -> tuple[Message, ...]:
    return (Message("assistant", text_of(value, what)),)


def _read_preference(row: Row, place: Place, folder: Path) -> Iterator[Example]:
    prompt = _prompt(row, folder)
    chosen, rejected = (_continuation(row, name, prompt, folder) for name in ("chosen", "rejected"))
    if not prompt:
        shared = _shared_turns(chosen, rejected)
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if not prompt:
        raise RowError("The row has two answers and no prompt.")
    if not chosen or not rejected or chosen == rejected:
        raise RowError("The row prefers an answer to itself.")
    yield Example(place, place_pictures(_with_system(row, prompt), _pictures(row, folder)), chosen, rejected)


def _prompt(row: Row, folder: Path) -> tuple[Message, ...]:
    name = first_of(row, PROMPTS)
    if name is None or not row[name]:
        return ()
    if isinstance(row[name], list):
        return turns_of(row[name], name, folder)
    text = text_of(row[name], name)
    turns = marked_turns(text)
    # A prompt in the form of one text ends with the mark of the answer to come.
    return tuple(turn for turn in turns if turn.content) or (Message("user", text),)


def _continuation(row: Row, name: str, prompt: tuple[Message, ...], folder: Path) -> tuple[Message, ...]:
    """Read one of the two ways to go on, without the prompt if it is repeated there."""
    value = row[name]
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, list):
        turns = turns_of(value, name, folder)
    else:
        text = text_of(value, name)
        turns = marked_turns(text) or _answer(text, name)
    return turns[len(prompt) :] if prompt and turns[: len(prompt)] == prompt else turns


def _shared_turns(chosen: tuple[Message, ...], rejected: tuple[Message, ...]) -> int:
    pairs = enumerate(zip(chosen, rejected, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(len(chosen), len(rejected)))


def _tree_root(row: Row) -> Any:
    prompt = row.get("prompt")
    return prompt if isinstance(prompt, dict) else row


def _is_tree(row: Row) -> bool:
    root = _tree_root(row)
    return "replies" in root and "role" in root and "text" in root


def _read_tree(row: Row, place: Place, folder: Path) -> Iterator[Example]:
    root = _tree_root(row)
    examples = [Example(place, thread) for thread in message_trees.threads(root)]
    examples += [Example(place, prompt, (one,), (other,)) for prompt, one, other in message_trees.ranked_pairs(root)]
    if not examples:
        raise RowError("The tree has no answer.")
    yield from examples


def _read_marked(row: Row, place: Place, folder: Path) -> Iterator[Example]:
    yield Example(place, marked_turns(_marked_text(row)))


def _marked_text(row: Row) -> str:
    value = row.get(first_of(row, TEXTS) or "")
    return value if isinstance(value, str) else ""


def _read_text(row: Row, place: Place, folder: Path) -> Iterator[Example]:
    name = first_of(row, TEXTS)
    assert name is not None
    yield Example(place, text=text_of(row[name], name))


def _is_text(row: Row) -> bool:
    # A row with a role is one turn of a conversation that lies over several rows.
    return first_of(row, TEXTS) is not None and "role" not in row and "from" not in row


def _is_preference(row: Row) -> bool:
    return "chosen" in row and "rejected" in row


# In this order: a row is of the first form that it fits.
FORMATS = (
    RowFormat("oasst", "Open Assistant message trees", "messages with `replies`", _is_tree, _read_tree),
    RowFormat("preference", "preference pairs", "`chosen` and `rejected`", _is_preference, _read_preference),
    RowFormat(
        "messages",
        "conversations in OpenAI's form",
        "turns with `role` and `content`",
        lambda row: _has_turns(row, "role"),
        _read_conversation,
    ),
    RowFormat(
        "sharegpt",
        "conversations in ShareGPT's form",
        "turns with `from` and `value`",
        lambda row: _has_turns(row, "from"),
        _read_conversation,
    ),
    RowFormat(
        "self-instruct",
        "tasks in Self-Instruct's form",
        "`instruction` and `instances`",
        lambda row: "instruction" in row and isinstance(row.get("instances"), list),
        _read_tasks,
    ),
    RowFormat(
        "alpaca",
        "instructions in Alpaca's form",
        "`instruction` and `output`",
        lambda row: "instruction" in row and first_of(row, ANSWERS) is not None,
        _read_alpaca,
    ),
    RowFormat(
        "prompt-completion",
        "prompts with completions",
        "a prompt and its answer",
        lambda row: first_of(row, PROMPTS) is not None and first_of(row, ANSWERS) is not None,
        _read_pair,
    ),
    RowFormat(
        "marked-text",
        "conversations written as one text",
        "texts that begin with `### Human:`",
        lambda row: bool(marked_turns(_marked_text(row))),
        _read_marked,
    ),
    RowFormat("text", "texts", "a column of text", _is_text, _read_text),
)
