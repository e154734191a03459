"""Check that the Qt bindings suit this Python."""

import sys

import PySide6
import pytest
from PySide6.QtGui import QFont

COSTS_REFERENCES = PySide6.__version__.startswith("6.12.0") and sys.version_info < (3, 12)


@pytest.mark.xfail(
    COSTS_REFERENCES,
    reason="PySide6 6.12.0 takes a reference of None with every call, which ends the process sooner or later",
    strict=True,
)
def test_a_call_costs_no_reference_of_none() -> None:
    font = QFont()
    before = sys.getrefcount(None)
    for _ in range(1000):
        font.setPixelSize(12)
    assert abs(sys.getrefcount(None) - before) < 100
