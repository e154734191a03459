"""Test that examples which repeat an evaluation are found."""

import json

import pytest

from engine.data.contamination import Contamination
from engine.data.example import Example, Place
from engine.errors import EngineError
from engine.protocol import Message

QUESTION = "Natalia sold clips to forty eight of her friends in April and then half as many in May"


def example(question, answer="Seventy-two."):
    return Example(Place("f", 1), (Message("user", question), Message("assistant", answer)))


@pytest.fixture
def known(tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_text(
        json.dumps({"id": 1, "question": QUESTION, "choices": [{"text": "eight words are enough to say so"}]})
    )
    contamination = Contamination()
    contamination.add_file(path)
    return contamination


def test_thirteen_words_in_common_are_found_wherever_they_stand(known):
    assert known.found_in(example(f"Say, {QUESTION.upper()}! How many?")) == "test.jsonl"
    assert known.found_in(example("Repeat.", f"Of course: {' '.join(QUESTION.split()[2:15])}")) == "test.jsonl"
    assert known.found_in(example(" ".join(QUESTION.split()[:12]) + " else")) is None


def test_shorter_texts_of_an_evaluation_count_whole(known):
    assert known.found_in(example("Eight words are enough to say so, no?")) is None
    known.add_texts(["Eight words are enough to say it so"], "short")
    assert known.found_in(example("Well: eight words are enough to say it so.")) == "short"


def test_what_is_said_by_chance_is_not_counted(known):
    known.add_texts(["What is the capital of France?"], "short")
    assert known.found_in(example("What is the capital of France?")) is None


@pytest.mark.parametrize(("name", "data"), [("test.csv", f"Question,Other\n{QUESTION},x\n"), ("test.txt", QUESTION)])
def test_evaluations_come_in_any_kind_of_file(tmp_path, name, data):
    (tmp_path / name).write_text(data)
    contamination = Contamination()
    contamination.add_file(tmp_path / name)
    assert contamination.found_in(example(QUESTION)) == name


def test_a_file_that_is_missing_is_one_sentence(tmp_path):
    with pytest.raises(EngineError, match="does not exist"):
        Contamination().add_file(tmp_path / "none.jsonl")
