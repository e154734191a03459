"""Check what of the standard library comes along for packages that are installed later."""

import pytest

from release.bundle import EXCLUDED_MODULES, NEEDED_BY_TRAINING, is_for_training


@pytest.mark.parametrize("module", ["sqlite3", "unittest.mock", "pydoc", "cProfile", "lib2to3x", "_lsprof", "timeit"])
def test_training_may_import_the_standard_library(module):
    assert is_for_training(module)


@pytest.mark.parametrize(
    "module", ["readline", "_gdbm", "dbm.gnu", "tkinter.ttk", "test.support", "sqlite3.test", "idlelib", "ensurepip._x"]
)
def test_what_is_gpl_or_for_tests_and_windows_stays_out(module):
    assert not is_for_training(module)


def test_what_training_needs_is_left_out_of_the_window_alone():
    assert set(NEEDED_BY_TRAINING) < set(EXCLUDED_MODULES)
