"""Compare ids of prompts with pictures with the reference's."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from engine.errors import EngineError
from engine.vision.prompt import PictureRun, picture_prompt_ids, picture_runs, tag_pictures
from tests.engine.vision.vectors import CASES

BOS = 1


@pytest.fixture(scope="module")
def tokenize(vision_checkpoint):
    """Give the reference's own tokenizer, without BOS."""
    tokenizer = Tokenizer.from_file(str(vision_checkpoint / "tokenizer.json"))
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def letters(text):
    return [100 + ord(letter) for letter in text]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_ids_are_the_references(case, tokenize):
    counts = case.arrays["num_img_tokens"].tolist() if case.pictures else []
    ids = picture_prompt_ids(case.prompt, counts, tokenize, BOS)
    assert ids == case.arrays["input_ids"].tolist()


def test_the_flags_of_the_vision_tokenizer_differ_from_minis(vision_checkpoint):
    added = json.loads((vision_checkpoint / "tokenizer.json").read_text())["added_tokens"]
    assert {token["content"] for token in added if token["rstrip"] and token["content"].startswith("<|")} >= {
        "<|assistant|>"
    }
    assert not any(token["rstrip"] for token in added if token["content"] in ("<|user|>", "<|end|>", "<|system|>"))


def test_every_stretch_of_text_begins_with_bos():
    assert picture_prompt_ids("<|image_1|><|image_2|>a", [2, 1], letters, BOS) == [1, -1, -1, 1, -2, 1, 197]
    assert picture_prompt_ids("a", [], letters, BOS) == [1, 197]


@pytest.mark.parametrize(
    ("prompt", "pictures"),
    [("none", 1), ("<|image_1|>", 0), ("<|image_2|>", 1), ("<|image_2|><|image_1|>", 2), ("<|image_1|>" * 2, 2),
     ("<|image_1|>" * 2, 1), ("<|image_0|>", 1), ("<|image_1|><|image_3|>", 2)],
)  # fmt: skip
def test_tags_that_do_not_fit_the_pictures_are_refused(prompt, pictures):
    with pytest.raises(EngineError) as caught:
        picture_prompt_ids(prompt, [3] * pictures, letters, BOS)
    assert caught.value.code == "bad_request" and caught.value.remedy


def test_pictures_are_numbered_over_the_whole_conversation():
    turns = [("Look.", 2), ("I see.", 0), ("And this?", 1)]
    assert tag_pictures(turns) == ["<|image_1|>\n<|image_2|>\nLook.", "I see.", "<|image_3|>\nAnd this?"]


def test_tags_a_user_placed_stay_where_they_are():
    assert tag_pictures([("", 1), ("Left <|image_2|> or right <|image_3|>?", 2)])[1] == (
        "Left <|image_2|> or right <|image_3|>?"
    )


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "<|image_1|>", "<|image_2|> b", "<|image_", "|>"]), st.integers(0, 2)))
)
def test_other_tags_in_a_text_are_words(turns):
    prompt = "".join(tag_pictures(turns))
    pictures = sum(count for _, count in turns)
    ids = picture_prompt_ids(prompt, [1] * pictures, letters, BOS)
    assert [token for token in ids if token < 0] == [-number for number in range(1, pictures + 1)]
    if not pictures:
        assert ids == [BOS, *letters("".join(text for text, _ in turns))]


@settings(deadline=None)
@given(st.lists(st.integers(1, 5)), st.data())
def test_places_of_pictures_are_found_again(counts, data):
    prompt = "".join(data.draw(st.text("xy", max_size=3)) + f"<|image_{number + 1}|>" for number in range(len(counts)))
    ids = picture_prompt_ids(prompt + "z", counts, letters, BOS)
    runs = picture_runs(ids)
    assert [(run.number, run.stop - run.start) for run in runs] == list(enumerate(counts, 1))
    assert all(ids[run.start - 1] >= 0 and ids[run.stop] == BOS for run in runs)


def test_a_run_knows_its_place():
    assert picture_runs([1, -1, -1, 1, -2, 1]) == [PictureRun(1, 1, 3), PictureRun(2, 4, 5)]
