"""Check the row of one adapter."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QSlider
from pytestqt.qtbot import QtBot

from app.chat.adapter_row import AdapterRow


def test_strength_and_removal_are_told_and_named(qtbot: QtBot) -> None:
    row = AdapterRow("Poet", 0.5)
    qtbot.addWidget(row)
    slider, remove = row.findChild(QSlider), row.findChild(QPushButton)
    with qtbot.waitSignal(row.scale_changed) as moved:
        qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert moved.args == [0.55]
    row.set_name("Writer", "Writer, trained on Phi-3-mini")
    assert (slider.accessibleName(), remove.accessibleName()) == ("Strength of Writer", "Remove Writer")
    with qtbot.waitSignal(row.removed):
        remove.click()
