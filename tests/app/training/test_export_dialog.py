"""Check what the dialog for exports offers."""

import pytest
from pytestqt.qtbot import QtBot

from app.training.export_dialog import QUANTIZATIONS, ExportDialog
from converter.ggml_types import FILE_TYPES
from tests.app.training.conftest import MakeRun


def test_a_name_and_a_quantisation_are_proposed(qtbot: QtBot, make_run: MakeRun) -> None:
    dialog = ExportDialog(make_run())
    qtbot.addWidget(dialog)
    assert dialog.name.text() == "Starter Support tone"
    assert dialog.quantization == "q8_0"
    dialog.choose("q4_k_m")
    assert dialog.quantization == "q4_k_m"
    dialog.name.setText(" ")
    assert not dialog._export.isEnabled()


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_every_quantisation_is_known(quantization: str) -> None:
    assert quantization in FILE_TYPES
