"""Check the list of models behind the pages."""

import sys
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.library.model_list import fit_of
from tests.app.library.conftest import WAIT_MS, Library


def test_fit_depends_on_what_is_free_and_what_there_is() -> None:
    assert [fit_of(need, available=4, total=8) for need in (3, 4, 5, 8, 9)] == ["yes", "yes", "tight", "tight", "no"]


def test_models_are_looked_for_in_the_chosen_folder_too(
    qtbot: QtBot, library: Library, gguf_file: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.gguf").write_bytes(gguf_file.read_bytes())
    library.settings.change(models_folder=str(elsewhere))
    qtbot.waitUntil(lambda: library.models.find(elsewhere / "a.gguf") is not None, timeout=WAIT_MS)
    assert library.models.folder == elsewhere
    library.settings.change(models_folder="")
    assert library.models.folder == library.paths.models


def test_a_measured_speed_is_shown_at_once(qtbot: QtBot, library: Library, gguf_file: Path) -> None:
    library.paths.models.mkdir(parents=True)
    model = library.paths.models / "a.gguf"
    model.write_bytes(gguf_file.read_bytes())
    library.models.refresh()
    qtbot.waitUntil(lambda: library.models.find(model) is not None, timeout=WAIT_MS)
    with qtbot.waitSignal(library.models.changed):
        library.models.note_speed(model, 18.4)
    entry = library.models.find(model)
    assert entry is not None
    assert entry.tokens_per_second == 18.4


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the trash cannot be taken away")
def test_a_model_that_cannot_go_to_the_trash_is_deleted_when_agreed(
    qtbot: QtBot, library: Library, gguf_file: Path, tmp_path: Path
) -> None:
    library.paths.models.mkdir(parents=True)
    model = library.paths.models / "a.gguf"
    model.write_bytes(gguf_file.read_bytes())
    library.models.refresh()
    qtbot.waitUntil(lambda: library.models.find(model) is not None, timeout=WAIT_MS)
    entry = library.models.find(model)
    assert entry is not None
    (tmp_path / "data-home").rmdir()
    library.models.remove(entry)
    qtbot.waitUntil(lambda: library.models.find(model) is None, timeout=WAIT_MS)
    assert library.notices.questions == [("Delete Tiny Phi-3 for good?", "a.gguf cannot be moved to the trash.")]
    assert not model.exists()


def test_all_parts_of_a_split_model_are_removed(qtbot: QtBot, library: Library, gguf_file: Path) -> None:
    library.paths.models.mkdir(parents=True)
    parts = [library.paths.models / f"big-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        part.write_bytes(gguf_file.read_bytes())
    other = library.paths.models / "big-other.gguf"
    other.write_bytes(gguf_file.read_bytes())
    library.models.refresh()
    qtbot.waitUntil(lambda: library.models.find(parts[0]) is not None, timeout=WAIT_MS)
    entry = library.models.find(parts[0])
    assert entry is not None
    library.models.remove(entry, trash=False)
    qtbot.waitUntil(lambda: library.models.find(parts[0]) is None, timeout=WAIT_MS)
    assert not any(part.exists() for part in parts)
    assert other.exists()
