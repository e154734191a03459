"""Test that examples keep their side."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from engine.data.split import split_examples


def hashes(count, start=0):
    return [hashlib.blake2b(str(number).encode()).digest() for number in range(start, start + count)]


def test_the_share_is_about_what_was_wanted():
    split = split_examples(hashes(2000), range(2000), 0.1)
    assert 160 < len(split.validation) < 240
    assert sorted(split.training + split.validation) == list(range(2000))


def test_added_rows_change_no_sides():
    before = split_examples(hashes(200), range(200), 0.1)
    after = split_examples(hashes(400), range(400), 0.1)
    assert [number for number in after.validation if number < 200] == before.validation


def test_an_example_keeps_its_side_wherever_it_stands():
    whole, part = split_examples(hashes(100), range(100), 0.2), split_examples(hashes(50, 50), range(50), 0.2)
    assert [number - 50 for number in whole.validation if number >= 50] == part.validation


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.floats(0, 0.5))
def test_groups_stay_together(jumps, share):
    groups = [max(0, number - jump) for number, jump in enumerate(jumps)]
    groups = [number if groups[group] != group else group for number, group in enumerate(groups)]
    split = split_examples(hashes(len(groups)), groups, share)
    assert {groups[number] for number in split.training}.isdisjoint(groups[number] for number in split.validation)
    assert len(split.training) + len(split.validation) == len(groups)


@given(st.integers(0, 40), st.integers(2, 12), st.floats(0.001, 0.999))
def test_both_sides_have_something(start, count, share):
    split = split_examples(hashes(count, start), range(count), share)
    assert split.training
    assert split.validation


def test_without_a_share_all_is_for_training():
    assert split_examples(hashes(5), range(5), 0).validation == []
    assert split_examples(hashes(1), [0], 0.5).training in ([0], [])
    assert split_examples([], [], 0.5).training == []
