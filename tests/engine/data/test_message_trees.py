"""Test trees of messages, nested and as rows of one message each."""

import json

import pytest

from engine.data.example import Example, RowError, RowProblem
from engine.data.message_trees import joined_messages, ranked_pairs, threads
from engine.data.reader import DataFile
from tests.helpers.fixtures import DATA

TREES = [json.loads(line) for line in (DATA / "training" / "oasst_trees.jsonl").read_text("utf-8").splitlines()]


def node(role, text, *replies, **fields):
    return {"role": role, "text": text, "replies": list(replies), **fields}


def flat(tree):
    """Give the rows of one message each that a tree is published as."""
    rows = []

    def add(message, parent):
        fields = {name: value for name, value in message.items() if name != "replies"}
        rows.append(fields | {"message_tree_id": tree["message_tree_id"], "parent_id": parent})
        for reply in message["replies"]:
            add(reply, message["message_id"])

    add(tree["prompt"], None)
    return rows


def texts(thread):
    return [message.content for message in thread]


def test_threads_follow_the_best_answers_and_every_question():
    tree = node(
        "prompter",
        "Q",
        node("assistant", "worse", rank=1),
        node(
            "assistant",
            "best",
            node("prompter", "unanswered"),
            node("prompter", "R", node("assistant", "one", rank=0)),
            node("prompter", "S", node("assistant", "two", rank=0), node("assistant", "three")),
            rank=0,
        ),
    )
    assert [texts(thread) for thread in threads(tree)] == [["Q", "best", "R", "one"], ["Q", "best", "S", "two"]]


def test_a_thread_without_more_answers_ends_with_its_last():
    tree = node("prompter", "Q", node("assistant", "A", node("prompter", "R")))
    assert [texts(thread) for thread in threads(tree)] == [["Q", "A"]]
    assert list(threads(node("prompter", "Q"))) == []


def test_pairs_need_two_ranks():
    ranked = (("b", 1), ("a", 0), ("x", None), ("c", 1))
    tree = node("prompter", "Q", *(node("assistant", text, rank=rank) for text, rank in ranked))
    assert [(better.content, worse.content) for _, better, worse in ranked_pairs(tree)] == [("a", "b"), ("a", "c")]


def test_deleted_and_refused_replies_are_left_out():
    tree = node(
        "prompter",
        "Q",
        node("assistant", "deleted", rank=0, deleted=True),
        node("assistant", "refused", rank=1, review_result=False),
        node("assistant", "good", rank=2),
    )
    assert [texts(thread) for thread in threads(tree)] == [["Q", "good"]]
    assert list(ranked_pairs(tree)) == []


@pytest.mark.parametrize("tree", [node("narrator", "Q"), node("prompter", "Q", 3), node("prompter", ["Q"])])
def test_damaged_trees_are_row_errors(tree):
    with pytest.raises(RowError):
        list(threads(tree))


def test_messages_in_rows_give_the_same_as_their_trees(tmp_path):
    path = tmp_path / "messages.jsonl"
    rows = [row for tree in TREES for row in flat(tree)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    file = DataFile(path)
    nested = list(DataFile(DATA / "training" / "oasst_trees.jsonl").items())
    found = list(file.items())
    assert file.recognition.format == "oasst"
    assert [example.content_hash() for example in found] == [example.content_hash() for example in nested]
    assert {str(example.place) for example in found} == {"line 1", f"line {len(flat(TREES[0])) + 1}"}


def test_messages_without_the_one_they_answer_are_problems(tmp_path):
    path = tmp_path / "messages.jsonl"
    first, second, *rest = flat(TREES[0])
    path.write_text("".join(json.dumps(row) + "\n" for row in (first, second | {"parent_id": "lost"}, *rest)), "utf-8")
    found = list(DataFile(path).items())
    problems = [item for item in found if isinstance(item, RowProblem)]
    assert problems[0].sentence == "The message that this one answers does not stand before it."
    assert str(problems[0].place) == "line 2"
    assert any(isinstance(item, Example) for item in found)


def test_other_rows_pass_as_they_are():
    rows = [(1, {"text": "x"}), (2, RowError("The row is damaged.")), (3, 7)]
    assert list(joined_messages(rows)) == rows
