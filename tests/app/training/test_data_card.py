"""Check the figures of a run's data."""

from pytestqt.qtbot import QtBot

from app.training.data_card import DataCard
from tests.app.training.conftest import ESTIMATE, MakeRun


def test_the_data_is_summed_up(qtbot: QtBot, make_run: MakeRun) -> None:
    card = DataCard()
    qtbot.addWidget(card)
    note = {"form": "chat messages", "examples": 1311, "kept": 1240, "left_out": {"duplicate": 58, "too-long": 13}}
    run = make_run([ESTIMATE], note=note)
    card.show_run(run)
    rows = dict(card.rows)
    assert rows["Format"] == "chat messages"
    assert rows["Kept"].replace(",", "") == "1240 of 1311"
    assert (rows["Duplicates"], rows["Too long"], rows["Left out by training"]) == ("58", "13", "2")


def test_a_run_without_a_note_shows_its_file(qtbot: QtBot, make_run: MakeRun) -> None:
    card = DataCard()
    qtbot.addWidget(card)
    card.show_run(make_run(note={"kept": 0}))
    assert card.rows == [("File", "data.jsonl")]
