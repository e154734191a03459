"""Check what the card says of a run and offers to do."""

import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.theme import Theme
from app.training.run import Run
from app.training.run_card import RunCard
from app.widgets.labels import Label
from engine.jobs.events import JobDone, JobEvent, JobFailed, TrainingEstimate, TrainingNotice
from tests.app.training.conftest import ESTIMATE, MakeRun, steps


@pytest.fixture
def card(qtbot: QtBot, theme: Theme) -> RunCard:
    made = RunCard(theme)
    qtbot.addWidget(made)
    made.resize(900, 400)
    made.show()
    return made


def texts(card: RunCard) -> str:
    return "\n".join(label.text() for label in card.findChildren(Label) if label.isVisible())


def buttons(card: RunCard) -> dict[str, QPushButton]:
    return {button.text(): button for button in card.findChildren(QPushButton) if not button.isHidden()}


@pytest.mark.parametrize(
    ("events", "confirmed", "offered"),
    [
        ([], True, ["Stop"]),
        ([ESTIMATE], False, ["Not now", "Smaller batch", "Start training"]),
        ([ESTIMATE, *steps(3)], True, ["Pause", "Stop and keep"]),
        ([ESTIMATE, *steps(3), TrainingNotice("paused", "", 3)], True, ["Continue", "Stop and keep"]),
        ([*steps(3), TrainingNotice("waiting", "", 3)], True, ["Pause", "Stop and keep"]),
        ([*steps(3), JobFailed("cancelled", "")], True, ["Continue"]),
        ([*steps(3), JobFailed("out_of_memory", "")], True, ["Try again", "Try with batches of 4"]),
        ([*steps(3), JobFailed("training_diverged", "")], True, ["Try with a lower learning rate"]),
        ([*steps(3), JobFailed("disk_full", "")], True, ["Try again"]),
        ([*steps(3), JobDone({})], True, []),
    ],
)
def test_what_can_be_done(
    card: RunCard, make_run: MakeRun, events: list[JobEvent], confirmed: bool, offered: list[str]
) -> None:
    card.show_run(make_run(events, note={"confirmed": confirmed}))
    assert list(buttons(card)) == offered


def test_a_run_is_described(card: RunCard, make_run: MakeRun) -> None:
    card.show_run(make_run([ESTIMATE, *steps(13)]))
    shown = texts(card)
    assert "Support tone" in shown
    assert "Starter · 56 conversations · started" in shown
    assert "Step 13 of 20 · epoch 1.9 of 3" in shown
    assert card.chart.isVisible()
    assert card.accessibleName() == "Run Support tone: "


def test_the_estimate_is_shown_before_training(card: RunCard, make_run: MakeRun) -> None:
    card.show_run(make_run([ESTIMATE], note={"confirmed": False}))
    assert "About 4 min · 1.4 GB of memory" in texts(card)
    assert "close other programs" not in texts(card)


def test_too_little_memory_is_told(card: RunCard, make_run: MakeRun) -> None:
    tight = TrainingEstimate(20, 9000, 240.0, 15_500_000_000, 16_000_000_000, 1, 1, 1, False, "float32", 53)
    card.show_run(make_run([tight], note={"confirmed": False}))
    assert "It needs 15.5 GB and 16.0 GB are free" in texts(card)


def test_a_failure_is_told_with_its_remedy(card: RunCard, make_run: MakeRun) -> None:
    card.show_run(make_run([JobFailed("disk_full", "The disk is full.", "Free some space.", "errno 28")]))
    assert "The disk is full. Free some space." in texts(card)


def test_buttons_ask(qtbot: QtBot, card: RunCard, make_run: MakeRun) -> None:
    asked: list[tuple[str, Run]] = []
    card.asked.connect(lambda ask, run: asked.append((ask, run)))
    run = make_run([ESTIMATE, *steps(3)])
    card.show_run(run)
    buttons(card)["Pause"].click()
    buttons(card)["Stop and keep"].click()
    assert asked == [("pause", run), ("finish", run)]


def test_a_button_stays_while_figures_change(card: RunCard, make_run: MakeRun) -> None:
    run = make_run([ESTIMATE, *steps(3)])
    card.show_run(run)
    pause = buttons(card)["Pause"]
    run.take(steps(5))
    card.show_run(run)
    assert buttons(card)["Pause"] is pause
