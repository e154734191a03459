"""Check that the adapter of a chat is shown and chosen."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QSlider
from pytestqt.qtbot import QtBot

from app.chat.adapter_row import AdapterRow
from engine.library.adapter_card import AdapterCard

SUPPORT = AdapterCard("Support & sales", Path("/models/support.gguf"), 1, "phi3", "Phi-3-mini", 8)
POET = AdapterCard("Poet", Path("/models/poet.gguf"), 1, "phi3", "", 8)


@pytest.fixture
def row(qtbot: QtBot) -> AdapterRow:
    made = AdapterRow()
    qtbot.addWidget(made)
    made.show()
    return made


def label(row: AdapterRow) -> str:
    return row.findChild(QPushButton).text()


def actions(row: AdapterRow) -> dict[str, object]:
    return {action.text(): action for action in row.findChild(QPushButton).menu().actions()}


def test_without_an_adapter_there_is_no_strength(row: AdapterRow) -> None:
    assert label(row) == "none ▾"
    assert not row.findChild(QSlider).isVisible()
    assert list(actions(row)) == ["none", "No adapter fits this model"]
    assert not actions(row)["No adapter fits this model"].isEnabled()


def test_a_choice_is_told_with_its_strength(qtbot: QtBot, row: AdapterRow) -> None:
    heard: list[tuple[str, float]] = []
    row.changed.connect(lambda path, scale: heard.append((path, scale)))
    row.set_choices([SUPPORT, POET])
    actions(row)["Support && sales"].trigger()
    assert heard == [(str(SUPPORT.path), 1.0)]
    assert label(row) == "Support && sales ▾"
    assert row.findChild(QPushButton).toolTip() == "Support & sales, trained on Phi-3-mini"
    slider = row.findChild(QSlider)
    assert slider.isVisible()
    qtbot.keyClick(slider, Qt.Key.Key_Left)
    assert heard[-1] == (str(SUPPORT.path), 0.95)
    actions(row)["none"].trigger()
    assert heard[-1] == ("", 1.0)
    assert not slider.isVisible()


def test_an_adapter_of_another_model_says_so(row: AdapterRow) -> None:
    row.set_chosen(str(SUPPORT.path), 0.5)
    assert label(row) == "support ▾"  # which adapters fit is not known yet
    row.set_choices([POET])
    assert label(row) == "support (does not fit) ▾"
    row.set_choices([POET, SUPPORT])
    assert label(row) == "Support && sales ▾"
    row.set_choices(None)
    assert label(row) == "support ▾"


def test_a_long_name_is_shortened(row: AdapterRow) -> None:
    row.set_chosen("/models/" + "x" * 40 + ".gguf", 1.0)
    assert label(row) == "x" * 21 + "… ▾"
