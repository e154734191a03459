"""Check that the adapters of a chat are shown, added, weighted and removed."""

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QPushButton, QSlider
from pytestqt.qtbot import QtBot

from app.chat.adapter_list import AdapterList
from app.chat.adapter_row import AdapterRow
from engine.library.adapter_card import AdapterCard
from engine.protocol import Adapter

SUPPORT = AdapterCard("Support & sales", Path("/models/support.gguf"), 1, "phi3", "Phi-3-mini", 8)
POET = AdapterCard("Poet", Path("/models/poet.gguf"), 1, "phi3", "", 8)
SUPPORTING, WRITING = Adapter(str(SUPPORT.path)), Adapter(str(POET.path))


@pytest.fixture
def adapters(qtbot: QtBot) -> AdapterList:
    made = AdapterList()
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def heard(adapters: AdapterList) -> list[tuple[Adapter, ...]]:
    found: list[tuple[Adapter, ...]] = []
    adapters.changed.connect(found.append)
    return found


def actions(adapters: AdapterList) -> dict[str, QAction]:
    return {action.text(): action for action in adapters._add.menu().actions()}


def rows(adapters: AdapterList) -> list[AdapterRow]:
    return [row for row in adapters.findChildren(AdapterRow) if not row.isHidden()]


def names(adapters: AdapterList) -> list[str]:
    return [row.findChild(QSlider).accessibleName().removeprefix("Strength of ") for row in rows(adapters)]


def test_without_an_adapter_there_is_a_button_alone(adapters: AdapterList) -> None:
    assert rows(adapters) == []
    assert list(actions(adapters)) == ["No adapter fits this model"]
    assert not actions(adapters)["No adapter fits this model"].isEnabled()


def test_several_are_added_weighted_and_removed(
    qtbot: QtBot, adapters: AdapterList, heard: list[tuple[Adapter, ...]]
) -> None:
    adapters.set_choices([SUPPORT, POET])
    actions(adapters)["Support && sales"].trigger()
    assert list(actions(adapters)) == ["Poet"]  # nothing is added twice
    actions(adapters)["Poet"].trigger()
    assert heard[-1] == (SUPPORTING, WRITING)
    assert names(adapters) == ["Support & sales", "Poet"]
    assert list(actions(adapters)) == ["No other adapter fits this model"]
    assert rows(adapters)[0].toolTip() == "Support & sales, trained on Phi-3-mini"
    slider = rows(adapters)[1].findChild(QSlider)
    qtbot.keyClick(slider, Qt.Key.Key_Left)
    assert heard[-1] == (SUPPORTING, Adapter(WRITING.path, 0.95))
    assert slider in adapters.findChildren(QSlider)  # the row that is being moved stays
    remove = rows(adapters)[0].findChild(QPushButton)
    assert remove.accessibleName() == "Remove Support & sales"
    remove.click()
    assert heard[-1] == (Adapter(WRITING.path, 0.95),)
    assert names(adapters) == ["Poet"]


def test_only_one_may_bring_a_picture_part(adapters: AdapterList) -> None:
    seeing = [replace(card, companion=card.path.with_suffix(".mmproj.gguf")) for card in (SUPPORT, POET)]
    adapters.set_choices(seeing)
    assert all(action.isEnabled() for action in actions(adapters).values())
    adapters.set_chosen([SUPPORTING])
    [(text, action)] = actions(adapters).items()
    assert text == "Poet (one with pictures is in use)" and not action.isEnabled()
    adapters.set_choices([seeing[0], POET])
    assert actions(adapters)["Poet"].isEnabled()


def test_adapters_of_another_model_say_so(adapters: AdapterList) -> None:
    adapters.set_chosen([Adapter(SUPPORTING.path, 0.5)])
    assert names(adapters) == ["support"]  # which adapters fit is not known yet
    adapters.set_choices([POET])
    assert names(adapters) == ["support (does not fit)"]
    adapters.set_choices([POET, SUPPORT])
    assert names(adapters) == ["Support & sales"]
    adapters.set_choices(None)
    assert names(adapters) == ["support"]


def test_a_long_name_takes_no_more_room(adapters: AdapterList) -> None:
    adapters.set_chosen([WRITING])
    width = adapters.minimumSizeHint().width()
    adapters.set_chosen([Adapter("/models/" + "x" * 80 + ".gguf")])
    assert adapters.minimumSizeHint().width() == width
