"""Share bases and small sets of rows between the tests of training."""

import json

import pytest
import torch

from engine.data.example import Example, Place
from engine.jobs.events import TrainJob
from engine.protocol import Message
from engine.training.base import open_base, with_pictures
from engine.training.chat_encoding import ChatEncoding
from engine.training.precision import Precision
from tests.engine.training.vision_runs import exact_checkpoint

EXACT = Precision("cpu", torch.float32, torch.float32)
THINGS = (
    "apple",
    "river",
    "stone",
    "cloud",
    "horse",
    "candle",
    "ladder",
    "window",
    "garden",
    "bottle",
    "engine",
    "letter",
)


def conversation_rows(count=12):
    """Give rows whose answers have an unmistakable style."""
    rows = []
    for number in range(count):
        thing = THINGS[number % len(THINGS)]
        rows.append(
            {
                "messages": [
                    {"role": "user", "content": f"Name {1 + number // len(THINGS)} {thing}."},
                    {"role": "assistant", "content": f"Arr! A {thing}, matey!"},
                ]
            }
        )
    return rows


def preference_rows(count=12):
    """Give rows that prefer short answers."""
    return [
        {
            "prompt": [{"role": "user", "content": f"Do you see the {thing}?"}],
            "chosen": [{"role": "assistant", "content": "Yes."}],
            "rejected": [{"role": "assistant", "content": f"I am not able to see the {thing} at all."}],
        }
        for thing in THINGS[:count]
    ]


@pytest.fixture
def write_rows(tmp_path):
    """Write rows as a JSONL file and give its path."""

    def write(rows, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", "utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def tiny_base(tiny, tmp_path_factory):
    """Give the random Phi-3-mini as a base."""
    return open_base(str(tiny[0]), tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="session")
def seeing_base(vision_checkpoint, tmp_path_factory):
    """Give the tiny vision checkpoint in float32 as a base, with pictures of one crop and the whole view."""
    folder = tmp_path_factory.mktemp("seeing")
    base = open_base(str(exact_checkpoint(vision_checkpoint, folder / "tiny-vision")), folder)
    base = with_pictures(base, folder / "pictures", 1, 1, lambda progress: None)
    yield base
    base.pictures.close()


@pytest.fixture(scope="session")
def tiny_encoding(tiny_base):
    """Give the chat encoding of the random Phi-3-mini."""
    return ChatEncoding(tiny_base)


@pytest.fixture(scope="session")
def starter_cache(tmp_path_factory):
    """Give a folder in which the Starter is unpacked once."""
    return tmp_path_factory.mktemp("starter-base")


@pytest.fixture
def tiny_job(tiny, write_rows, tmp_path):
    """Make quick jobs on the random Phi-3-mini, in float32."""

    def make(rows=None, **options):
        options = {
            "steps": 4,
            "batch_size": 4,
            "checkpoint_steps": 2,
            "sample_tokens": 0,
            "precision": "float32",
            "threads": 1,
            "rank": 4,
            "learning_rate": 1e-2,
            "export_adapter": False,
            "busy_file": str(tmp_path / "busy"),
            **options,
        }
        path = write_rows(conversation_rows() if rows is None else rows)
        return TrainJob(str(tiny[0]), str(path), **options)

    return make


def examples_of(rows):
    """Give rows as examples."""

    def turns(row, name):
        return tuple(Message(turn["role"], turn["content"]) for turn in row.get(name, ()))

    return [
        Example(
            Place("rows", number),
            turns(row, "messages") or turns(row, "prompt"),
            turns(row, "chosen"),
            turns(row, "rejected"),
            row.get("text", ""),
        )
        for number, row in enumerate(rows, 1)
    ]
