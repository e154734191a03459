"""Test which turns are left out when a conversation has outgrown the context."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.chat.fitting import fit_prompt
from engine.errors import EngineError
from engine.protocol import Message


def encode(messages):
    """Give a message as its role's mark and one token for each character."""
    return [token for message in messages for token in (message.role, *message.content)]


def talk(*lengths, system=0):
    turns = [Message("assistant" if index % 2 else "user", "x" * length) for index, length in enumerate(lengths)]
    return [*([Message("system", "s" * system)] if system else []), *turns]


def test_what_fits_stays_whole():
    fitted = fit_prompt(talk(5, 5, 5), encode, limit=100, reserve=20)
    assert fitted.dropped_messages == 0
    assert len(fitted.ids) == 18


def test_the_oldest_turns_go_and_the_system_message_stays():
    messages = talk(30, 30, 20, 10, 10, system=5)
    fitted = fit_prompt(messages, encode, limit=100, reserve=20)
    assert fitted.dropped_messages == 2
    assert fitted.ids == encode([messages[0], *messages[3:]])


def test_a_last_turn_without_room_for_the_reserve_still_fits():
    assert fit_prompt(talk(90, 1, 97), encode, limit=100, reserve=20).dropped_messages == 2


@pytest.mark.parametrize("messages", [talk(100), talk(5, 5, 100), talk(5, system=100), [Message("system", "s" * 100)]])
def test_a_last_turn_that_is_too_long_is_refused(messages):
    with pytest.raises(EngineError) as failure:
        fit_prompt(messages, encode, limit=100, reserve=20)
    assert failure.value.code == "prompt_too_long"


def test_the_start_of_the_prompt_stays_for_several_answers():
    talks = [talk(*[9] * count) for count in range(1, 42, 2)]
    dropped = [fit_prompt(messages, encode, limit=200, reserve=40).dropped_messages for messages in talks]
    assert dropped[-1] > 20
    assert sum(first != second for first, second in itertools.pairwise(dropped)) <= 8


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(0, 30), st.integers(1, 50))
def test_what_is_left_fits_and_begins_at_a_user_turn(lengths, system, reserve):
    messages = talk(*lengths, system=system)
    try:
        fitted = fit_prompt(messages, encode, limit=120, reserve=reserve)
    except EngineError:
        last_user = (len(lengths) - 1) // 2 * 2
        assert len(encode(talk(*lengths[last_user:], system=system))) >= 120
        return
    head = 1 if system else 0
    assert len(fitted.ids) < 120
    assert messages[head + fitted.dropped_messages].role == "user"
    assert fitted.ids == encode([*messages[:head], *messages[head + fitted.dropped_messages :]])
