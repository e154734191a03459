"""Ids of conversations with pictures are those of the chat; answers and their ends are learned, nothing else."""

import pytest

from engine.data.example import Example, Place
from engine.protocol import Message
from engine.training.dataset import build_dataset
from engine.training.samples import IGNORED
from engine.training.vision_encoding import VisionEncoding
from engine.vision.prompt import picture_runs
from tests.engine.vision.vectors import CASES, FOLDER

PICTURE, OTHER = str(FOLDER / "img2_336x336.png"), str(FOLDER / "img0_640x480.png")
TURNS = (
    Message("user", "What is it?", (PICTURE,)),
    Message("assistant", "A square."),
    Message("user", "And this, with <|image_7|> in its name?", (OTHER,)),
    Message("assistant", "A <|image_1|> too."),
)


@pytest.fixture(scope="module")
def encoding(seeing_base):
    return VisionEncoding(seeing_base, seeing_base.pictures)


def in_order(ids):
    """Give ids in which picture k is -k, as the reference has them."""
    places = {}
    return [token if token >= 0 else -places.setdefault(token, len(places) + 1) for token in ids]


def test_prompt_has_the_ids_of_the_reference(encoding, seeing_base):
    case = next(case for case in CASES if len(case.pictures) == 1)
    body = case.prompt.removeprefix("<|user|>\n").removesuffix("<|end|>\n<|assistant|>\n")
    ids = encoding.encode([Message("user", body, (str(FOLDER / case.pictures[0]),))])
    wanted = case.arrays["input_ids"].tolist()
    assert [token for token in ids if token >= 0] == [token for token in wanted if token >= 0]
    number = seeing_base.pictures.look(FOLDER / case.pictures[0]).number
    assert ids.count(-number) == seeing_base.pictures.tokens(number) == 313


def test_answers_and_their_ends_are_learned(encoding, seeing_base):
    sample = build_dataset([Example(Place("rows", 1), TURNS)], encoding, "lora", 2048).items[0].samples[0]
    assert list(sample.ids[: len(encoding.encode(TURNS[:1]))]) == encoding.encode(TURNS[:1])
    assert list(sample.ids[: len(encoding.encode(TURNS[:3]))]) == encoding.encode(TURNS[:3])
    assert [run.stop - run.start for run in picture_runs(sample.ids)] == [313, 313]
    learned = [label for label in sample.labels if label != IGNORED]
    assert learned.count(32007) == 2 and all(
        token > 0 and label == token for token, label in zip(sample.ids, sample.labels, strict=True) if label != IGNORED
    )
    assert encoding.decode(learned).replace(" ", "") == "Asquare.A<|image_1|>too."


def test_number_of_a_picture_is_that_of_its_pixels(seeing_base, tmp_path):
    copy = tmp_path / "copy.png"
    copy.write_bytes((FOLDER / "img2_336x336.png").read_bytes())
    numbers = [seeing_base.pictures.look(path).number for path in (FOLDER / "img2_336x336.png", copy)]
    assert numbers[0] == numbers[1] != seeing_base.pictures.look(FOLDER / "img0_640x480.png").number


def test_rows_with_unreadable_pictures_are_listed_and_left_out(encoding, tmp_path):
    (tmp_path / "cut.png").write_bytes((FOLDER / "img2_336x336.png").read_bytes()[:200])
    rows = [(PICTURE,), (str(tmp_path / "cut.png"),), (str(tmp_path / "none.png"),)]
    examples = [
        Example(Place("rows", number), (Message("user", "What?", pictures), Message("assistant", "That.")))
        for number, pictures in enumerate(rows, 1)
    ]
    data = build_dataset(examples, encoding, "lora", 1024)
    assert len(data.items) == 1 and data.refused.total() == 2
    assert any("cut.png" in reason for reason in data.refused) and any("none.png" in each for each in data.refused)


def test_text_alone_begins_as_the_chat_begins_it(encoding):
    labelled = encoding.labeller().label((Message("user", "Hi"), Message("assistant", "Hello")))
    assert labelled.ids[:2] == [1, 32010] and labelled.labels[0] == IGNORED
    assert encoding.encode([Message("user", "Hi")]) == labelled.ids[: len(encoding.encode([Message("user", "Hi")]))]
