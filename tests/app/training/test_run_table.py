"""Check the rows of runs."""

from pathlib import Path

import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.training.run import Run
from app.training.run_table import RunTable
from app.widgets.labels import Label
from engine.jobs.events import JobFailed
from tests.app.training.conftest import MakeRun, steps, whole_run


@pytest.fixture
def table(qtbot: QtBot) -> RunTable:
    made = RunTable()
    qtbot.addWidget(made)
    made.resize(900, 300)
    made.show()
    return made


def texts(table: RunTable) -> list[str]:
    return [label.text() for label in table.findChildren(Label) if label.isVisible()]


def button(table: RunTable, name: str) -> QPushButton:
    found = [each for each in table.findChildren(QPushButton) if name in (each.accessibleName(), each.text())]
    return next(each for each in found if each.isVisible())


def test_a_finished_run_can_be_used(table: RunTable, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(whole_run(tmp_path))
    table.show_runs([run])
    assert {"Finished runs", "Starter", "LoRA r16", "1.42"} <= set(texts(table))
    asked: list[tuple[str, Run]] = []
    table.chat_requested.connect(lambda run: asked.append(("chat", run)))
    table.export_requested.connect(lambda run: asked.append(("export", run)))
    table.shown_requested.connect(lambda run: asked.append(("show", run)))
    button(table, "Use in chat: Support tone").click()
    button(table, "Export: Support tone").click()
    button(table, "Show the run Support tone").click()
    assert asked == [("chat", run), ("export", run), ("show", run)]


def test_a_stopped_run_can_go_on(table: RunTable, make_run: MakeRun) -> None:
    run = make_run([*steps(3), JobFailed("cancelled", "")])
    table.show_runs([run])
    assert "stopped" in texts(table)
    asked: list[Run] = []
    table.continue_requested.connect(asked.append)
    button(table, "Continue: Support tone").click()
    assert asked == [run]


def test_the_menu_offers_what_there_is(table: RunTable, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(whole_run(tmp_path))
    table.show_runs([run])
    actions = [action.text() for action in button(table, "More about Support tone").menu().actions()]
    assert actions == ["Open folder", "", "Delete…"]
    (tmp_path / "card.md").touch()
    table.show_runs([])
    table.show_runs([run])
    more = button(table, "More about Support tone").menu()
    assert more.actions()[0].text() == "Model card"
    asked: list[Run] = []
    table.delete_requested.connect(asked.append)
    more.actions()[-1].trigger()
    assert asked == [run]


def test_a_waiting_run_says_so(table: RunTable, make_run: MakeRun) -> None:
    table.show_runs([make_run(started=False)])
    assert "Waiting for its turn" in texts(table)
    assert "Runs" in texts(table)


def test_without_runs_it_is_hidden(table: RunTable, make_run: MakeRun) -> None:
    table.show_runs([make_run()])
    table.show_runs([])
    assert table.isHidden()
