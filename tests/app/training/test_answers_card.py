"""Check the answers before and after."""

from pathlib import Path

import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.training.answers_card import AnswersCard
from app.widgets.labels import Label
from tests.app.training.conftest import MakeRun, whole_run


@pytest.fixture
def card(qtbot: QtBot) -> AnswersCard:
    made = AnswersCard()
    qtbot.addWidget(made)
    made.resize(700, 300)
    made.show()
    return made


def texts(card: AnswersCard) -> list[str]:
    return [label.text() for label in card.findChildren(Label) if label.isVisible()]


def button(card: AnswersCard, name: str) -> QPushButton:
    return next(each for each in card.findChildren(QPushButton) if each.accessibleName() == name)


def test_without_answers_it_says_when_they_come(card: AnswersCard, make_run: MakeRun) -> None:
    card.show_run(make_run())
    assert "Both answers appear at the first checkpoint." in texts(card)


def test_the_newest_answers_are_shown(card: AnswersCard, make_run: MakeRun, tmp_path: Path) -> None:
    card.show_run(make_run(whole_run(tmp_path)))
    shown = texts(card)
    assert "“My parcel is late.”" in shown
    assert "Call the carrier." in shown
    assert "Sorry about the wait!" in shown
    assert button(card, "Checkpoint").text() == "Step 20 ▾"


def test_another_prompt_and_another_step_can_be_chosen(card: AnswersCard, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(whole_run(tmp_path))
    card.show_run(run)
    button(card, "Next prompt").click()
    assert "By card!" in texts(card)
    card.show_step(0)
    assert texts(card).count("No.") == 2
    card.show_run(run)
    assert button(card, "Checkpoint").text() == "Step 0 ▾"
    assert [action.text() for action in card._steps.menu().actions()] == ["Step 20", "Step 0"]
    card._steps.menu().actions()[0].trigger()
    assert "By card!" in texts(card)
