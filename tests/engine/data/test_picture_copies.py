"""Check that examples get pictures of their own, and only of those that are to be theirs."""

from pathlib import Path

import pytest

from engine.data.example import Example, Place
from engine.data.picture_copies import copy_picture, with_copies
from engine.protocol import Message


def test_pictures_below_the_source_are_copied_and_others_stay(tmp_path: Path) -> None:
    own, other = tmp_path / "own" / "a.png", tmp_path / "other.png"
    own.parent.mkdir()
    own.write_bytes(b"a")
    other.write_bytes(b"b")
    question = Message("user", "Which?", (str(other), str(own)))
    answers = (Message("assistant", "The first."),), (Message("assistant", "None."),)
    example = Example(Place("rows", 1), (question,), *answers)
    [copied] = with_copies([example], own.parent, tmp_path / "run")
    assert copied.pictures == (str(other), str((tmp_path / "run" / "a.png").resolve()))
    assert (tmp_path / "run" / "a.png").read_bytes() == b"a"
    assert (copied.chosen, copied.rejected) == answers
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a.png"]


def test_a_picture_that_is_gone_leaves_nothing_half_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        copy_picture(tmp_path / "gone.png", tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []
