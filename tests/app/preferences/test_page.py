"""Check that the Settings page shows and changes the settings at once."""

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QComboBox, QLineEdit, QPushButton
from pytestqt.qtbot import QtBot

from app.preferences.page import SettingsPage
from app.settings import PRESETS, Settings
from app.widgets.labels import Label


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "settings.json")


@pytest.fixture
def page(qtbot: QtBot, settings: Settings, tmp_path: Path) -> SettingsPage:
    page = SettingsPage(settings, tmp_path / "models", tmp_path)
    qtbot.addWidget(page)
    page.resize(1000, 700)
    page.show()
    return page


def box(page: SettingsPage, name: str) -> QComboBox:
    (found,) = [each for each in page.findChildren(QComboBox) if each.accessibleName() == name]
    return found


def line(page: SettingsPage, name: str) -> QLineEdit:
    (found,) = [each for each in page.findChildren(QLineEdit) if each.accessibleName() == name]
    return found


def pick(chooser: QComboBox, text: str) -> None:
    index = chooser.findText(text)
    assert index >= 0
    chooser.setCurrentIndex(index)
    chooser.activated.emit(index)


def enter(qtbot: QtBot, field: QLineEdit, text: str) -> None:
    field.clear()
    qtbot.keyClicks(field, text)
    qtbot.keyClick(field, Qt.Key.Key_Return)


def test_choices_are_applied_and_saved_at_once(page: SettingsPage, settings: Settings, tmp_path: Path) -> None:
    pick(box(page, "Theme"), "Dark")
    pick(box(page, "Text size"), "120 %")
    pick(box(page, "Context"), "8,192 tokens")
    pick(box(page, "Threads for writing"), "1")
    pick(box(page, "Longest answer"), "No limit")
    again = Settings(tmp_path / "settings.json").values
    assert again == settings.values
    assert (again.theme, again.text_scale, again.context, again.threads, again.max_tokens) == ("dark", 1.2, 8192, 1, 0)


def test_numbers_are_taken_when_complete_and_kept_within_limits(
    qtbot: QtBot, page: SettingsPage, settings: Settings
) -> None:
    temperature, seed = line(page, "Temperature"), line(page, "Seed")
    enter(qtbot, temperature, "0,25")
    assert settings.values.temperature == 0.25
    enter(qtbot, temperature, "17")
    assert settings.values.temperature == 2.0
    for nonsense in ("warm", "nan", ""):
        enter(qtbot, temperature, nonsense)
        assert (settings.values.temperature, temperature.text()) == (2.0, "2")
    enter(qtbot, seed, "4000000000")
    assert settings.values.seed == 4_000_000_000
    enter(qtbot, seed, "")
    assert settings.values.seed == -1
    assert seed.placeholderText() == "Random"


def test_a_preset_sets_its_values_and_a_change_makes_it_custom(
    qtbot: QtBot, page: SettingsPage, settings: Settings
) -> None:
    pick(box(page, "Preset"), "Precise")
    assert settings.values.temperature == PRESETS["precise"]["temperature"]
    assert line(page, "Temperature").text() == "0"
    enter(qtbot, line(page, "Temperature"), "0.3")
    assert box(page, "Preset").currentText() == "Custom"
    pick(box(page, "Preset"), "Custom")
    assert settings.values.temperature == 0.3


def test_changes_from_elsewhere_are_shown(page: SettingsPage, settings: Settings) -> None:
    settings.change(text_scale=1.37, context=10_000, theme="light", models_folder="/data/models")
    assert box(page, "Text size").currentText() == "137 %"
    assert box(page, "Context").currentText() == "10,000 tokens"
    assert box(page, "Theme").currentText() == "Light"
    assert any("/data/models" in label.text() for label in page.findChildren(Label))


def test_the_usual_models_folder_can_be_had_back(qtbot: QtBot, page: SettingsPage, settings: Settings) -> None:
    (usual,) = [button for button in page.findChildren(QPushButton) if button.text() == "Use the usual one"]
    assert not usual.isVisible()
    settings.change(models_folder="/data/models")
    qtbot.mouseClick(usual, Qt.MouseButton.LeftButton)
    assert settings.values.models_folder == ""


def test_models_are_offered_and_a_missing_one_is_still_named(page: SettingsPage, settings: Settings) -> None:
    page.show_models([("Starter", Path("/m/starter.gguf")), ("Phi", Path("/m/phi.gguf"))])
    chooser = box(page, "Model for new chats")
    pick(chooser, "Phi")
    assert settings.values.default_model == str(Path("/m/phi.gguf"))
    page.show_models([("Starter", Path("/m/starter.gguf"))])
    assert chooser.currentText() == "phi"


def test_reloading_is_offered_only_when_it_would_change_something(
    qtbot: QtBot, page: SettingsPage, settings: Settings
) -> None:
    (reload,) = [button for button in page.findChildren(QPushButton) if button.text() == "Reload model"]
    settings.change(context=8192)
    assert not reload.isVisible()
    page.note_model_loaded()
    settings.change(theme="dark")
    assert not reload.isVisible()
    settings.change(context=4096)
    assert reload.isVisible()
    with qtbot.waitSignal(page.reload_requested):
        qtbot.mouseClick(reload, Qt.MouseButton.LeftButton)
    settings.change(context=8192)
    assert not reload.isVisible()
    settings.change(threads=1)
    page.note_model_unloaded()
    assert not reload.isVisible()


def test_gpu_layers_are_shown_only_with_a_gpu(page: SettingsPage) -> None:
    assert not box(page, "Layers on the graphics card").isVisible()
    page.set_gpu_available(True)
    assert box(page, "Layers on the graphics card").isVisibleTo(page)


def test_the_wheel_never_changes_a_setting(page: SettingsPage, settings: Settings) -> None:
    chooser = box(page, "Theme")
    chooser.setFocus()
    nothing = QPoint(0, 0)
    event = QWheelEvent(
        QPointF(5, 5), QPointF(5, 5), nothing, QPoint(0, -120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(chooser, event)
    assert chooser.currentText() == "As the system"
    assert settings.values.theme == "system"


def test_versions_of_the_worker_are_added(page: SettingsPage) -> None:
    page.show_versions({"llama.cpp": "0.3.36"})
    assert any("Phidelity" in label.text() and "llama.cpp 0.3.36" in label.text() for label in page.findChildren(Label))


def test_packages_of_training_show_their_size_and_can_be_removed(page: SettingsPage) -> None:
    (remove,) = [each for each in page.findChildren(QPushButton) if each.text() == "Remove…"]
    assert not remove.isVisible()
    page.show_training_packages(1_300_000_000)
    assert remove.isVisible() and "1.3 GB" in remove.accessibleDescription()
    asked: list[str] = []
    page.packages_removal_requested.connect(lambda: asked.append("remove"))
    remove.click()
    assert asked == ["remove"]
    page.show_training_packages(0)
    assert not remove.isVisible()
