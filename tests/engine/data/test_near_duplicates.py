"""Test which examples say nearly the same."""

import random

from engine.data.example import Example, Place
from engine.data.near_duplicates import NearDuplicates, words_of
from engine.data.reader import DataFile
from engine.protocol import Message
from tests.helpers.fixtures import DATA

WORDS = random.Random(3).choices(["ab", "cd", "ef", "gh", "ij", "kl", "mn", "op", "qr", "st", "uv", "wx", "yz"], k=400)


def text(words):
    return Example(Place("f", 1), text=" ".join(words))


def test_few_changed_words_make_a_near_duplicate_and_many_do_not():
    near = NearDuplicates(0.8)
    few = [*WORDS[:200], "other", *WORDS[201:]]
    many = [word if index % 4 else "other" for index, word in enumerate(WORDS)]
    assert [near.leader(number, text(words)) for number, words in enumerate([WORDS, few, many])] == [0, 0, 2]


def test_a_lower_threshold_finds_more():
    half = [*WORDS[:200], *reversed(WORDS[200:])]
    strict, lax = NearDuplicates(0.9), NearDuplicates(0.2)
    assert [strict.leader(number, text(words)) for number, words in enumerate([WORDS, half])] == [0, 1]
    assert [lax.leader(number, text(words)) for number, words in enumerate([WORDS, half])] == [0, 0]


def test_at_the_highest_threshold_only_the_same_words_are_alike():
    near = NearDuplicates(1)
    changed = [*WORDS[:-1], "other"]
    assert [near.leader(number, text(words)) for number, words in enumerate([WORDS, WORDS, changed])] == [0, 0, 2]


def test_case_and_punctuation_do_not_count():
    near = NearDuplicates()
    first = Example(Place("f", 1), (Message("user", "Who are you?"), Message("assistant", "I am a model, of course.")))
    second = Example(Place("f", 2), (Message("user", "who are you"), Message("assistant", "I am a model of course")))
    assert [near.leader(0, first), near.leader(1, second)] == [0, 0]


def test_texts_without_words_are_never_alike():
    near = NearDuplicates()
    assert [near.leader(number, text(["...", "!"])) for number in range(2)] == [0, 1]


def test_short_texts_are_compared_whole():
    near = NearDuplicates()
    assert [near.leader(number, text(words)) for number, words in enumerate([["Hi"], ["hi"], ["Ho"]])] == [0, 0, 2]


def test_scripts_without_spaces_have_words():
    assert words_of("骆驼 ok 한국") == ["骆", "驼", "ok", "한", "국"]


def test_long_texts_are_taken_in_pieces():
    near = NearDuplicates()
    words = [f"word{index}" for index in range(20_000)]
    assert [near.leader(0, text(words)), near.leader(1, text(words[:-100]))] == [0, 0]


def test_published_questions_are_all_different():
    near = NearDuplicates()
    examples = list(DataFile(DATA / "training" / "dolly.jsonl").items())
    assert [near.leader(number, example) for number, example in enumerate(examples)] == list(range(60))
