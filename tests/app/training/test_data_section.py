"""Check what is said of the chosen data and what can be left out."""

from pathlib import Path

import pytest
from PySide6.QtWidgets import QCheckBox, QPushButton
from pytestqt.qtbot import QtBot

from app.training.data_section import DataSection
from app.widgets.labels import Label
from engine.training.preview_protocol import CheckCount, DataSummary, PreviewFailed, PreviewProgress, Problem

SUMMARY = DataSummary(
    "conversations in OpenAI's form",
    "3 of the first 3 rows have turns with `role` and `content`.",
    {"conversation": 20},
    2,
    [Problem("a.jsonl", "line 4", "It has no answer."), Problem("a.jsonl", "line 9", "It is no object.")],
    [
        CheckCount("personal-data", 3),
        CheckCount("duplicate", 4, [Problem("a.jsonl", "line 2", "is the same as line 1")]),
        CheckCount("language", 1),
    ],
    900,
    30,
    80,
)


@pytest.fixture
def section(qtbot: QtBot) -> DataSection:
    made = DataSection()
    qtbot.addWidget(made)
    made.resize(700, 600)
    made.show()
    return made


def texts(section: DataSection) -> str:
    return "\n".join(label.text() for label in section.findChildren(Label) if not label.isHidden())


def test_chosen_files_are_named(section: DataSection) -> None:
    changes: list[int] = []
    section.paths_changed.connect(lambda: changes.append(len(section.paths)))
    section.add_paths([Path("a.jsonl"), Path("b.csv")])
    section.add_paths([Path("a.jsonl")])
    assert section.paths == [Path("a.jsonl"), Path("b.csv")]
    assert "a.jsonl, b.csv" in texts(section)
    section.remove_all()
    assert section.paths == []
    assert changes == [2, 2, 0]


def test_what_was_found_is_told(section: DataSection) -> None:
    section.add_paths([Path("a.jsonl")])
    section.show_summary(SUMMARY)
    shown = texts(section)
    assert "Recognised: conversations in OpenAI's form." in shown
    assert "900 tokens; half of the examples have up to 30, the longest 80." in shown
    assert "2 rows cannot be read and are left out." in shown
    assert section._problems.toPlainText() == "line 4: It has no answer.\nline 9: It is no object."
    assert "3 examples seem to hold personal data" in shown


def test_findings_can_be_left_out(section: DataSection) -> None:
    section.show_summary(SUMMARY)
    boxes = {box.text(): box for box in section.findChildren(QCheckBox) if not box.isHidden()}
    assert list(boxes) == ["Duplicates · 4", "Other language · 1", "Personal data · 3"]
    assert boxes["Duplicates · 4"].toolTip() == "line 2 is the same as line 1"
    assert section.drop == ["duplicate"]
    changes: list[list[str]] = []
    section.drop_changed.connect(lambda: changes.append(section.drop))
    section.set_drop("personal-data", True)
    assert changes == [["duplicate", "personal-data"]]
    section.show_kept(13, 20)
    assert "13 of 20 examples are used." in texts(section)


def test_more_problems_than_shown_are_counted(section: DataSection) -> None:
    section.show_summary(DataSummary("texts", "", {"text": 1}, 5000, SUMMARY.problems))
    assert "rows cannot be read" in texts(section)
    assert section._problems.toPlainText().splitlines()[-1].replace(",", "") == "and 4998 more"


def test_progress_and_failures_are_shown(section: DataSection) -> None:
    section.add_paths([Path("a.jsonl")])
    section.show_progress(PreviewProgress("base"))
    assert "Opening the base…" in texts(section)
    section.show_progress(PreviewProgress("read", "a.jsonl", 5, 10))
    assert "Reading a.jsonl…" in texts(section)
    section.show_failure(PreviewFailed("input_invalid", "a.jsonl is empty.", "Choose a file with data."))
    assert "a.jsonl is empty. Choose a file with data." in texts(section)
    assert "Reading" not in texts(section)


def test_its_buttons_ask(section: DataSection) -> None:
    asked: list[str] = []
    section.chats_requested.connect(lambda: asked.append("chats"))
    section.example_requested.connect(lambda: asked.append("example"))
    for text in ("From my chats…", "The example"):
        next(button for button in section.findChildren(QPushButton) if button.text() == text).click()
    assert asked == ["chats", "example"]
