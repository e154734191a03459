"""Check what the import dialog offers, explains and refuses."""

from pathlib import Path

from pytestqt.qtbot import QtBot

from app.library.import_dialog import ImportChoice, ImportDialog
from app.library.import_source import AS_IT_IS, Estimate, ImportSource, inspect


def make_dialog(qtbot: QtBot, source: ImportSource, folder: Path) -> ImportDialog:
    dialog = ImportDialog(source, folder)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def test_a_checkpoint_is_converted_to_the_recommended_type(qtbot: QtBot, checkpoint: Path, tmp_path: Path) -> None:
    dialog = make_dialog(qtbot, inspect(checkpoint), tmp_path)
    out = tmp_path / "Phi-tiny-Q4_K_M.gguf"
    assert dialog.choice() == ImportChoice("convert", "Phi-tiny", "q4_k_m", out)
    dialog.select("BF16")
    dialog._name.setText("  other: name ")
    assert dialog.choice().quantization == "bf16"
    assert dialog.choice().name == "other: name"
    dialog._name.setText("")
    assert dialog.choice().name == "Phi-tiny"


def test_a_gguf_is_used_in_place_unless_copied(qtbot: QtBot, gguf_file: Path, tmp_path: Path) -> None:
    dialog = make_dialog(qtbot, inspect(gguf_file), tmp_path)
    assert dialog.choice() == ImportChoice("in place", "Tiny Phi-3", None, None)
    dialog.select("Copy")
    assert dialog.choice() == ImportChoice("copy", "Tiny Phi-3", None, tmp_path / "Tiny Phi-3.gguf")


def test_a_taken_name_is_refused_until_changed(qtbot: QtBot, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "Phi-tiny-Q4_K_M.gguf").touch()
    dialog = make_dialog(qtbot, inspect(checkpoint), tmp_path)
    assert not dialog._import.isEnabled()
    assert "another name" in dialog._problem.text()
    dialog._name.setText("Phi-tiny-2")
    assert dialog._import.isEnabled()
    assert not dialog._problem.isVisible()


def test_too_little_disk_is_said_before_anything_is_written(qtbot: QtBot, tmp_path: Path) -> None:
    huge = Estimate(1 << 60, 1 << 60)
    source = ImportSource(tmp_path / "huge.gguf", "gguf", "Huge", "Q4_0", {AS_IT_IS: huge})
    dialog = make_dialog(qtbot, source, tmp_path / "not" / "there" / "yet")
    assert dialog._import.isEnabled()
    dialog.select("Copy")
    assert not dialog._import.isEnabled()
    assert "on the disk" in dialog._problem.text()
