"""Check that what is wrong with a model is said, with what helps."""

from dataclasses import replace

import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.chat.note_line import NoteLine
from app.engine_bridge import EngineState
from engine.protocol import LoadedModel, LoadNote

MODEL = LoadedModel("Mini", "phi3", "Q4_K_M", 1, 1, 4096, 8192, True, "CPU", 0, 3, 4)
SET_ASIDE = LoadNote("gpu_set_aside", "The graphics card failed, so the model runs on the processor.")


@pytest.fixture
def line(qtbot: QtBot) -> NoteLine:
    made = NoteLine()
    qtbot.addWidget(made)
    return made


def show(line: NoteLine, *notes: LoadNote) -> list[str]:
    """Return what the line offers, nothing when it is hidden."""
    line.set_state(EngineState("ready", "model.gguf", replace(MODEL, notes=notes)))
    return [button.text() for button in line.findChildren(QPushButton) if button.isVisible()]


def test_a_graphics_card_that_failed_can_be_tried_again(qtbot: QtBot, line: NoteLine) -> None:
    assert show(line) == []
    assert show(line, SET_ASIDE) == ["Try the graphics card", "Hide"]
    assert line.accessibleName() == SET_ASIDE.message
    button = next(button for button in line.findChildren(QPushButton) if button.text().startswith("Try"))
    with qtbot.waitSignal(line.gpu_requested) as asked:
        button.click()
    assert asked.args == ["model.gguf"]


def test_a_line_that_was_put_away_comes_back_with_other_notes(line: NoteLine) -> None:
    fault = LoadNote("tokenizer", "The tokenizer splits text otherwise.", repairable=True)
    assert show(line, fault) == ["Repair", "Hide"]
    next(button for button in line.findChildren(QPushButton) if button.text() == "Hide").click()
    assert show(line, fault) == []
    assert show(line, fault, SET_ASIDE) == ["Repair", "Try the graphics card", "Hide"]
