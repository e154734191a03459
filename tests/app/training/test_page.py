"""Check which run the page shows in full, and what it says without one."""

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.theme import Theme
from app.training.page import TrainingPage
from tests.app.training.conftest import MakeRun, steps, whole_run


@pytest.fixture
def page(qtbot: QtBot, theme: Theme) -> TrainingPage:
    made = TrainingPage(theme)
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    return made


def button(page: TrainingPage, text: str) -> QPushButton:
    return next(each for each in page.findChildren(QPushButton) if each.text() == text)


def test_without_runs_it_explains_and_offers_the_first_step(page: TrainingPage) -> None:
    assert page.empty_state.isVisible()
    assert not page.card.isVisible()
    asked: list[object] = []
    page.example_requested.connect(lambda: asked.append("example"))
    page.new_requested.connect(asked.append)
    button(page, "Try it with the Starter").click()
    button(page, "Choose my own data").click()
    button(page, "New run").click()
    assert asked == ["example", [], []]


def test_the_run_that_goes_on_is_not_in_the_table(page: TrainingPage, make_run: MakeRun, tmp_path: Path) -> None:
    old, active = make_run(whole_run(tmp_path), note={"title": "Old"}), make_run(steps(3))
    page.show_runs([active, old], active)
    assert page.shown is active
    assert page.card.isVisible()
    assert not page.empty_state.isVisible()
    shown = [each.accessibleName() for each in page.table.findChildren(QPushButton)]
    assert "Show the run Old" in shown
    assert "Show the run Support tone" not in shown


def test_another_run_can_be_shown_until_the_next_begins(page: TrainingPage, make_run: MakeRun, tmp_path: Path) -> None:
    old, active = make_run(whole_run(tmp_path), note={"title": "Old"}), make_run(steps(3))
    page.show_runs([active, old], active)
    page.table.shown_requested.emit(old)
    assert page.shown is old
    page.show_runs([active, old], active)
    assert page.shown is old
    following = make_run(steps(1), note={"title": "Next"})
    page.show_runs([following, active, old], following)
    assert page.shown is following


def test_when_nothing_goes_on_the_newest_is_shown(page: TrainingPage, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(whole_run(tmp_path))
    page.show_runs([run], None)
    assert page.shown is run
    assert page.table.isVisible()


def test_dropped_files_begin_a_run(page: TrainingPage, tmp_path: Path) -> None:
    asked: list[list[Path]] = []
    page.new_requested.connect(asked.append)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / "rows.jsonl"))])
    place, action = QPointF(10, 10), Qt.DropAction.CopyAction
    page.dropEvent(QDropEvent(place, action, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier))
    assert asked == [[tmp_path / "rows.jsonl"]]
