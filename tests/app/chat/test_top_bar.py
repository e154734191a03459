"""Check what the model picker and the context meter show."""

from dataclasses import replace

import pytest
from PySide6.QtWidgets import QLabel, QProgressBar, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.chat.top_bar import ContextMeter, ModelChoice, ModelPicker
from app.engine_bridge import EngineState
from engine.errors import EngineError
from engine.protocol import LoadedModel

MODEL = LoadedModel("phi-3.5 & co", "phi3", "Q4_K_M", 1, 1, 4096, 4096, True, "CPU", 0, 1, 2)
CHOICES = [ModelChoice("/m/a.gguf", "Mini & more", "Q4_K_M", 2_400_000_000), ModelChoice("/m/b.gguf", "Tiny", "", 5)]


@pytest.fixture
def picker(qtbot: QtBot) -> ModelPicker:
    made = ModelPicker()
    qtbot.addWidget(made)
    made.show()
    return made


def texts(widget: QWidget) -> list[str]:
    return [each.text() for kind in (QPushButton, QLabel) for each in widget.findChildren(kind) if each.isVisible()]


def actions(picker: ModelPicker) -> dict[str, object]:
    menu = picker.findChildren(QPushButton)[0].menu()
    menu.aboutToShow.emit()
    return {action.text(): action for action in menu.actions() if action.text()}


def test_a_vision_model_wears_a_badge(picker: ModelPicker) -> None:
    picker.set_choices([*CHOICES, ModelChoice("/m/v.gguf", "Vision", "Q4_K_M", 7, has_vision=True)])
    assert "Vision · Q4_K_M · vision\t0 MB" in actions(picker)
    picker.set_state(EngineState("loading", "/m/v.gguf"))
    assert "vision" in texts(picker)
    # The model that is there knows best.
    picker.set_state(EngineState("ready", "/m/v.gguf", MODEL))
    assert "vision" not in texts(picker)
    picker.set_state(EngineState("ready", "/m/a.gguf", replace(MODEL, num_crops=4)))
    assert "vision" in texts(picker)


def test_every_state_is_named(picker: ModelPicker) -> None:
    assert texts(picker) == ["Choose a model ▾"]
    picker.set_state(EngineState("loading", "/m/new.gguf", fraction=0.4))
    assert texts(picker) == ["new ▾", "loading"]
    bar = picker.findChild(QProgressBar)
    assert bar is not None
    assert bar.value() == bar.maximum() * 0.4
    picker.set_state(EngineState("ready", "/m/new.gguf", MODEL))
    assert texts(picker) == ["phi-3.5 && co · Q4_K_M ▾"]
    picker.set_choices(CHOICES)
    picker.set_state(EngineState("ready", "/m/a.gguf", MODEL))
    assert texts(picker) == ["Mini && more · Q4_K_M ▾"]
    picker.set_state(EngineState("failed", "/m/a.gguf", error=EngineError("out_of_memory", "Too big.")))
    assert texts(picker) == ["Mini && more · Q4_K_M ▾", "not loaded"]


def test_a_verified_model_has_a_badge_once_it_is_loaded(picker: ModelPicker) -> None:
    verified, plain = (ModelChoice(f"/m/{name}.gguf", name, "Q4_0", 5, name == "good") for name in ("good", "other"))
    picker.set_choices([verified, plain])
    heard: list[str] = []
    picker.figures_requested.connect(heard.append)
    picker.set_state(EngineState("loading", verified.path))
    assert "verified" not in texts(picker)
    picker.set_state(EngineState("ready", verified.path, MODEL))
    (badge,) = [each for each in picker.findChildren(QPushButton) if each.text() == "verified" and each.isVisible()]
    badge.click()
    assert heard == [verified.path]
    picker.set_state(EngineState("ready", plain.path, MODEL))
    assert "verified" not in texts(picker)
    picker.set_state(EngineState("ready", verified.path, MODEL))
    picker.set_choices([ModelChoice(verified.path, "good", "Q4_0", 5), plain])
    assert "verified" not in texts(picker)


def test_the_menu_offers_what_can_be_done(picker: ModelPicker) -> None:
    picker.set_choices(CHOICES)
    heard: list[str] = []
    picker.load_requested.connect(heard.append)
    picker.eject_requested.connect(lambda: heard.append("eject"))
    picker.cancel_requested.connect(lambda: heard.append("cancel"))
    assert list(actions(picker)) == ["Mini && more · Q4_K_M\t2.4 GB", "Tiny\t0 MB", "All models…"]
    actions(picker)["Tiny\t0 MB"].trigger()  # type: ignore[attr-defined]
    picker.set_state(EngineState("loading", "/m/b.gguf"))
    actions(picker)["Cancel loading"].trigger()  # type: ignore[attr-defined]
    picker.set_state(EngineState("ready", "/m/b.gguf", MODEL))
    actions(picker)["Eject: free its memory"].trigger()  # type: ignore[attr-defined]
    assert heard == ["/m/b.gguf", "cancel", "eject"]
    assert actions(picker)["Tiny\t0 MB"].isChecked()  # type: ignore[attr-defined]


def test_the_meter_turns_amber_and_red(qtbot: QtBot) -> None:
    meter = ContextMeter()
    qtbot.addWidget(meter)
    assert meter.isHidden()
    bar = meter.findChild(QProgressBar)
    assert bar is not None
    tones = []
    for used in (100, 819, 820, 3300, 3900, 4096, 5000):
        meter.set_tokens(used, 4096)
        tones.append(bar.property("tone"))
    assert tones == ["accent", "accent", "accent", "warning", "bad", "bad", "bad"]
    assert meter.accessibleName().replace(",", "") == "5000 / 4096 tokens"
    meter.set_tokens(None, 0)
    assert meter.isHidden()
