"""Check that the Qt bindings suit this Python."""

import sys

from PySide6.QtGui import QFont


def test_a_call_costs_no_reference_of_none() -> None:
    """PySide6 6.12.0 takes one with every call on Python 3.11, which ends the process sooner or later."""
    font = QFont()
    before = sys.getrefcount(None)
    for _ in range(1000):
        font.setPixelSize(12)
    assert abs(sys.getrefcount(None) - before) < 100
