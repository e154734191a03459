"""Check that the numbers of a run are those of its job."""

import pytest
from PySide6.QtWidgets import QComboBox
from pytestqt.qtbot import QtBot

from app.training.advanced_settings import AdvancedSettings
from app.training.number_field import NumberField
from engine.jobs.events import TrainJob
from engine.training.settings import check_job


@pytest.fixture
def settings(qtbot: QtBot) -> AdvancedSettings:
    made = AdvancedSettings()
    qtbot.addWidget(made)
    made.show()
    return made


def test_defaults_are_those_of_the_job(settings: AdvancedSettings) -> None:
    assert TrainJob("starter", "data", **settings.values()) == TrainJob("starter", "data")


def test_they_are_folded_until_wanted(settings: AdvancedSettings) -> None:
    field = settings.findChildren(NumberField)[0]
    assert not field.isVisible()
    settings.set_open(True)
    assert field.isVisible()


def test_alpha_follows_the_rank(settings: AdvancedSettings) -> None:
    settings.set_value("rank", 8)
    values = settings.values()
    assert (values["rank"], values["alpha"]) == (8, 16.0)
    check_job(TrainJob("starter", "data", **values))


def test_finer_pictures_are_told_and_are_those_of_the_job(qtbot: QtBot, settings: AdvancedSettings) -> None:
    detail = next(box for box in settings.findChildren(QComboBox) if box.accessibleName() == "Picture detail")
    assert (detail.currentText().split(":")[0], settings.num_crops) == ("Fast", 4)
    with qtbot.waitSignal(settings.reading_changed):
        detail.setCurrentIndex(1)
    assert settings.values()["num_crops"] == 16
    check_job(TrainJob("starter", "data", **settings.values()))


@pytest.mark.parametrize(
    ("name", "default", "typed", "value"),
    [
        ("epochs", 3.0, "1,5", 1.5),
        ("epochs", 3.0, "0", 3.0),
        ("epochs", 3.0, "nan", 3.0),
        ("epochs", 3.0, "1e9", 1000.0),
        ("rank", 16, "8", 8),
        ("rank", 16, "eight", 16),
        ("rank", 16, "-4", 1),
        ("batch_size", 8, "", 8),
    ],
)
def test_only_numbers_within_limits_are_taken(
    qtbot: QtBot, name: str, default: float, typed: str, value: float
) -> None:
    field = NumberField(name, default)
    qtbot.addWidget(field)
    field.setText(typed)
    field.editingFinished.emit()
    assert field.value == value
    assert type(field.value) is type(default)


def test_a_change_is_told_once(qtbot: QtBot) -> None:
    field = NumberField("max_length", 1024)
    qtbot.addWidget(field)
    told: list[float] = []
    field.value_changed.connect(lambda: told.append(field.value))
    for typed in ("512", "512", "", ""):
        field.setText(typed)
        field.editingFinished.emit()
    assert told == [512, 1024]
