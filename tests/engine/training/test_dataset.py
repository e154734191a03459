"""Answers and their ends are learned, nothing else; what cannot be learned from is counted and named."""

import pytest

from engine.data.example import Example, Place
from engine.errors import EngineError
from engine.jobs.events import TrainJob
from engine.protocol import Message
from engine.training.base import open_base
from engine.training.chat_encoding import ChatEncoding
from engine.training.dataset import build_dataset
from engine.training.reading import part, read_data
from engine.training.samples import IGNORED
from tests.engine.training.conftest import conversation_rows, examples_of, preference_rows

TWO_TURNS = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "So long."},
    ]
}


def learned_text(encoding, sample):
    """Give what is learned without the spaces that sentencepiece puts in front of words."""
    return encoding.decode([label for label in sample.labels if label != IGNORED]).replace(" ", "")


def test_every_answer_ends_with_its_learned_end(tiny_encoding):
    sample = build_dataset(examples_of([TWO_TURNS]), tiny_encoding, "lora", 256).items[0].samples[0]
    ends = [place for place, token in enumerate(sample.ids) if token == 32007]
    assert [sample.labels[place] for place in ends] == [IGNORED, IGNORED, 32007, IGNORED, 32007]
    assert learned_text(tiny_encoding, sample) == "Hello!Solong."


def test_starter_learns_its_own_end(starter, starter_cache):
    encoding = ChatEncoding(open_base("starter", starter_cache))
    sample = build_dataset(examples_of([TWO_TURNS]), encoding, "lora", 256).items[0].samples[0]
    assert sum(label == 2 for label in sample.labels) == 2
    assert learned_text(encoding, sample) == "Hello!Solong."


def test_prompt_is_the_conversation_up_to_the_last_question(tiny_encoding):
    data = build_dataset(examples_of([TWO_TURNS]), tiny_encoding, "lora", 256)
    sample = data.items[0].samples[0]
    assert data.prompts[0].text == "Bye" and sample.ids[: len(data.prompts[0].ids)] == data.prompts[0].ids


def test_pair_has_both_answers_to_one_prompt(tiny_encoding):
    chosen, rejected = build_dataset(examples_of(preference_rows(1)), tiny_encoding, "dpo", 256).items[0].samples
    assert learned_text(tiny_encoding, chosen) == "Yes."
    assert learned_text(tiny_encoding, rejected).startswith("Iamnotable")
    shared = chosen.labels.index(next(label for label in chosen.labels if label != IGNORED))
    assert chosen.ids[:shared] == rejected.ids[:shared]


def test_text_is_cut_into_pieces_with_its_end(tiny_encoding):
    items = build_dataset(examples_of([{"text": "one two three " * 20}]), tiny_encoding, "pretrain", 16).items
    assert all(item.tokens <= 16 for item in items) and len(items) > 3
    assert items[-1].samples[0].ids[-1] == tiny_encoding.end_of_text
    assert items[0].samples[0].labels[1:] == items[0].samples[0].ids[1:]


def test_rows_that_teach_nothing_are_counted(tiny_encoding):
    rows = [*conversation_rows(2), {"text": "only text"}, {"messages": [{"role": "user", "content": "Hi"}]}]
    data = build_dataset(examples_of(rows), tiny_encoding, "lora", 256)
    assert len(data.items) == 2 and data.refused.total() == 2


def test_answer_beyond_the_longest_length_is_refused(tiny_encoding):
    row = {"messages": [{"role": "user", "content": "word " * 50}, {"role": "assistant", "content": "Yes."}]}
    data = build_dataset(examples_of([row, *conversation_rows(1)]), tiny_encoding, "lora", 32)
    assert len(data.items) == 1 and "32" in next(iter(data.refused))


def test_nothing_to_learn_is_one_sentence(tiny_encoding):
    with pytest.raises(EngineError) as failure:
        build_dataset(examples_of(conversation_rows(3)), tiny_encoding, "dpo", 256)
    assert failure.value.code == "input_invalid" and "dpo" in failure.value.message


def test_parts_do_not_depend_on_the_order():
    examples = examples_of(conversation_rows(12))
    learned, measured = part(examples, 0.25)
    assert 0 < len(measured) < 9 and len(learned) + len(measured) == 12
    again = part(examples[::-1], 0.25)[1]
    assert {each.content_hash() for each in again} == {each.content_hash() for each in measured}
    assert part(examples[:9], 0.25) == (examples[:9], []) and part(examples, 0) == (examples, [])


def test_near_duplicates_are_on_one_side():
    text = "The quick brown fox jumps over the lazy dog near the old river bank every single morning before dawn"
    rows = [{"text": f"{text} {'again' if number % 2 else ''}"} for number in range(12)]
    learned, measured = part(examples_of([*rows, {"text": "Something else altogether."}]), 0.3)
    sides = [any("quick brown" in example.text for example in side) for side in (learned, measured)]
    assert sorted(sides) == [False, True]


def test_rows_about_one_picture_are_on_one_side_and_equal_words_about_others_are_not():
    pictures = [("0.png",), ("1.png",), ("0.png", "1.png"), *((f"{number // 2}.png",) for number in range(4, 40))]
    examples = [
        Example(
            Place("rows", number),
            (Message("user", "What is in the picture?", pictures[number]), Message("assistant", "A horse.")),
        )
        for number in range(len(pictures))
    ]
    learned, measured = part(examples, 0.3)
    sides = [{picture for example in side for picture in example.pictures} for side in (learned, measured)]
    assert all(sides) and not sides[0] & sides[1]


def test_missing_file_is_one_sentence(tiny_encoding, tmp_path):
    with pytest.raises(EngineError) as failure:
        read_data(TrainJob("x", str(tmp_path / "none.jsonl")), tiny_encoding, lambda: None)
    assert failure.value.code == "input_invalid" and "none.jsonl" in failure.value.message


def test_validation_file_is_measured_on(tiny_encoding, write_rows):
    rows, other = write_rows(conversation_rows(12)), write_rows(conversation_rows(2), "other.jsonl")
    data = read_data(TrainJob("x", str(rows), validation=str(other)), tiny_encoding, lambda: None)
    assert (len(data.learned.items), len(data.measured.items)) == (12, 2)
