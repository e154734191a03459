"""Test the order of turns."""

import pytest

from engine.data.example import Example, Place
from engine.data.turn_order import turn_order_problem
from engine.protocol import Message

ROLES = {"s": "system", "u": "user", "a": "assistant"}


def talk(letters):
    return tuple(Message(ROLES[letter], "x") for letter in letters)


@pytest.mark.parametrize(
    ("letters", "problem"),
    [
        ("ua", None),
        ("sua", None),
        ("ssuaua", None),
        ("u", "has no answer"),
        ("s", "has no answer"),
        ("au", "begins with an answer"),
        ("uasua", "has a system message in the middle"),
        ("uau", "does not end with an answer"),
        ("uua", "has two turns of the same side in a row"),
        ("uaa", "has two turns of the same side in a row"),
    ],
)
def test_conversations(letters, problem):
    assert turn_order_problem(Example(Place("f", 1), talk(letters))) == problem


@pytest.mark.parametrize(
    ("chosen", "rejected", "problem"),
    [("a", "a", None), ("aua", "a", None), ("a", "u", "has no answer"), ("au", "a", "does not end with an answer")],
)
def test_both_ways_of_a_preference_count(chosen, rejected, problem):
    example = Example(Place("f", 1), talk("u"), talk(chosen), talk(rejected))
    assert turn_order_problem(example) == problem


def test_texts_have_no_turns():
    assert turn_order_problem(Example(Place("f", 1), text="x")) is None
