"""Check that methods fit their data."""

import pytest
from pytestqt.qtbot import QtBot

from app.training.method_choice import MethodChoice


@pytest.fixture
def choice(qtbot: QtBot) -> MethodChoice:
    made = MethodChoice()
    qtbot.addWidget(made)
    return made


def test_lora_is_proposed(choice: MethodChoice) -> None:
    assert choice.method == "lora"
    assert choice.is_possible("dpo")


@pytest.mark.parametrize(
    ("kinds", "method"),
    [
        ({"conversation": 3}, "lora"),
        ({"preference": 3}, "dpo"),
        ({"text": 3}, "pretrain"),
        ({"conversation": 1, "text": 5}, "lora"),
    ],
)
def test_the_data_decides(choice: MethodChoice, kinds: dict[str, int], method: str) -> None:
    choice.fit_to(kinds)
    assert choice.method == method


def test_what_the_data_does_not_allow_is_not_offered(choice: MethodChoice) -> None:
    choice.fit_to({"conversation": 3})
    assert choice.is_possible("full")
    assert not choice.is_possible("dpo")
    assert not choice.is_possible("pretrain")


def test_a_choice_that_fits_stays(choice: MethodChoice, qtbot: QtBot) -> None:
    with qtbot.waitSignal(choice.changed):
        choice.choose("full")
    choice.fit_to({"conversation": 3})
    assert choice.method == "full"
