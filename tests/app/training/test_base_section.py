"""Check the choice of a base."""

from pathlib import Path

from pytestqt.qtbot import QtBot

from app.training.base_section import BaseSection, starter_choice


def test_the_first_is_proposed_and_folders_are_added_once(qtbot: QtBot, tmp_path: Path) -> None:
    section = BaseSection([starter_choice("Starter", "Built in.")])
    qtbot.addWidget(section)
    assert section.choice.base == "starter"
    told: list[str] = []
    section.changed.connect(lambda: told.append(section.choice.title))
    for folder in (tmp_path / "Phi-3.5-mini", tmp_path / "Phi-4", tmp_path / "Phi-3.5-mini"):
        section.choose_folder(folder)
    assert told == ["Phi-3.5-mini", "Phi-4", "Phi-3.5-mini"]
    assert section.choice.base == str(tmp_path / "Phi-3.5-mini")
    assert section._box.count() == 3
