"""Check that the panel shows and changes how a chat is answered."""

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPlainTextEdit, QPushButton, QSlider, QWidget
from pytestqt.qtbot import QtBot

from app.chat.chat_panel import ChatPanel
from app.chat.turns import shown_sampling
from app.engine_bridge import EngineState
from app.settings import Values
from app.widgets.labels import WrappedLabel
from engine.protocol import LoadedModel

MODEL = LoadedModel("Mini", "phi3", "Q4_K_M", 1, 1, 4096, 8192, True, "CPU", 0, 3, 4)


@pytest.fixture
def panel(qtbot: QtBot) -> ChatPanel:
    made = ChatPanel()
    qtbot.addWidget(made)
    made.resize(280, 700)
    made.set_sampling(shown_sampling(Values(), {}))
    made.show()
    return made


def shown_texts(panel: ChatPanel) -> list[str]:
    return [label.text() for label in panel.findChildren(WrappedLabel) if label.isVisible()]


def buttons(panel: ChatPanel) -> list[str]:
    return [button.text() for button in panel.findChildren(QPushButton)]


def test_values_of_the_chat_are_shown_and_changed(qtbot: QtBot, panel: ChatPanel) -> None:
    assert buttons(panel)[0] == "Balanced ▾"
    heard: list[dict[str, float]] = []
    panel.sampling_changed.connect(heard.append)
    slider = panel.findChildren(QSlider)[0]
    qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert heard[-1]["temperature"] == 0.75
    assert buttons(panel)[0] == "Custom ▾"
    preset = panel.findChildren(QPushButton)[0].menu()
    next(action for action in preset.actions() if action.text() == "Precise").trigger()
    assert heard[-1]["temperature"] == 0.0
    assert heard[-1]["max_tokens"] == 1024
    assert buttons(panel)[0] == "Precise ▾"


def test_the_system_prompt_is_told_after_a_pause_or_at_once(qtbot: QtBot, panel: ChatPanel) -> None:
    heard: list[str] = []
    panel.system_prompt_changed.connect(heard.append)
    panel.set_system_prompt("from the chat")
    panel.finish_typing()
    assert heard == []
    edit = panel.findChild(QPlainTextEdit)
    assert edit is not None
    edit.setPlainText("Be brief.")
    qtbot.waitUntil(lambda: heard == ["Be brief."])
    edit.setPlainText("Be kind.")
    panel.finish_typing()
    assert heard == ["Be brief.", "Be kind."]


def test_the_model_is_described_as_measured(panel: ChatPanel) -> None:
    def names() -> list[str]:
        return [child.accessibleName() for child in panel.findChildren(QWidget) if ":" in child.accessibleName()]

    panel.set_model(EngineState("ready", "x", MODEL), (3 * 2**30, 16 * 2**30))
    assert names() == [
        "Runs on: CPU, 3 threads",
        "Memory: 3.0 of 16 GB",
        f"Context: {panel.locale().toString(8192)} tokens",
    ]
    card = replace(MODEL, runs_on="Card (R2) and CPU", gpu_layers=24, runs_on_reason="24 of 33 layers fit into 6.1 GB")
    panel.set_model(EngineState("ready", "x", card), None)
    assert names()[0] == "Runs on: Card (R2) and CPU"
    assert "24 of 33 layers fit into 6.1 GB" in shown_texts(panel)
    slow = replace(MODEL, runs_on_reason="no GPU was found")
    panel.set_model(EngineState("ready", "x", slow), None)
    assert "CPU: no GPU was found" in [child.toolTip() for child in panel.findChildren(QWidget)]
    assert not any("no GPU was found" in text for text in shown_texts(panel))
    panel.set_model(EngineState("loading", "x"), None)
    assert names() == ["Runs on: –", "Memory: –", "Context: –"]
