"""Check what the chart draws and says."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from app.theme import Theme
from app.training.loss_chart import LossChart


@pytest.fixture
def chart(qtbot: QtBot, theme: Theme) -> LossChart:
    made = LossChart(theme)
    qtbot.addWidget(made)
    made.resize(600, 200)
    made.show()
    return made


def colors_of(chart: LossChart) -> set[str]:
    image = chart.grab().toImage()
    return {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}


def test_both_lines_are_drawn(chart: LossChart, theme: Theme) -> None:
    chart.clearFocus()
    assert QColor(theme.colors.accent).name() not in colors_of(chart)
    chart.set_losses({1: 3.0, 2: 2.5, 10: 1.2}, {0: 3.1, 10: 1.4}, 20)
    shown = colors_of(chart)
    assert QColor(theme.colors.accent).name() in shown
    assert QColor(theme.colors.warning).name() in shown


def test_it_is_described_in_words(chart: LossChart) -> None:
    assert chart.accessibleDescription() == ""
    chart.set_losses({}, {}, 20)
    assert chart.accessibleDescription() == "No steps yet."
    chart.set_losses({1: 3.0, 10: 1.2}, {0: 3.1, 10: 1.4}, 20)
    assert chart.accessibleDescription() == "Training loss 1.20 at step 10, 3.00 at the first. Validation loss 1.40."


def test_the_pointer_shows_values(qtbot: QtBot, chart: LossChart) -> None:
    chart.set_losses({step: 3 - step / 10 for step in range(1, 21)}, {0: 3.1, 10: 1.4}, 20)
    assert chart.shown_words() == ""
    qtbot.mouseMove(chart, QPoint(100, 80))
    qtbot.mouseMove(chart, QPoint(56 + (600 - 100) * 10 // 20, 80))
    assert chart.shown_words() == "step 10 · training 2.00 · validation 1.40"
    qtbot.mouseMove(chart, QPoint(5, 80))
    assert chart.shown_words() == ""


def test_the_arrow_keys_show_values(qtbot: QtBot, chart: LossChart) -> None:
    chart.set_losses({1: 3.0, 2: 2.5, 3: 2.25}, {}, 20)
    qtbot.keyClick(chart, Qt.Key.Key_Left)
    qtbot.keyClick(chart, Qt.Key.Key_Left)
    assert chart.shown_words() == "step 2 · training 2.50"
    assert chart.accessibleDescription() == "step 2 · training 2.50"


def test_strange_values_are_drawn(chart: LossChart) -> None:
    for losses in ({1: 2.0}, {1: 0.0, 2: 0.0}, dict.fromkeys(range(1, 5000), 1000000.0)):
        chart.set_losses(losses, {}, 1)
        assert not chart.grab().isNull()
