"""Check that notes beside runs survive, whatever happened to them."""

from pathlib import Path

import pytest

from app.training.run_note import NOTE_FILE, RunNote, read_note, write_note


def test_a_note_reads_back(tmp_path: Path) -> None:
    note = RunNote("Töne", "Starter", 12.5, "chats", 10, 8, {"duplicate": 2}, True)
    write_note(tmp_path, note)
    assert read_note(tmp_path) == note
    assert [path.name for path in tmp_path.iterdir()] == [NOTE_FILE]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"colour": 1}', b'{"title": 3}', b"\xff"])
def test_a_damaged_note_leaves_the_name_of_the_folder(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / NOTE_FILE).write_bytes(content)
    note = read_note(tmp_path)
    assert note.title == tmp_path.name
    assert note.confirmed
    assert note.created > 0
