"""Test what of the environment goes into the installed program."""

import pytest

from release.bundle import (
    EXCLUDED_MODULES,
    NEEDED_BY_TRAINING,
    is_for_training,
    is_full_version,
    is_wanted,
    one_file_each,
    without_dead_links,
    without_orphans,
)


@pytest.mark.parametrize(
    "name",
    [
        "PySide6/Qt/lib/libQt6Qml.so.6",
        "PySide6/Qt/plugins/sqldrivers/libqsqlite.so",
        "PySide6/Qt/plugins/platforms/libqeglfs.so",
        "PySide6/plugins/platforms/qminimal.dll",
        "PySide6/Qt/translations/qtwebengine_locales/de.pak",
        "llama_cpp/include/llama.h",
        "libvulkan.so.1",
        "libstdc++.so.6",
        "libX11-xcb.so.1",
        "libz.so.1",
    ],
)
def test_what_is_never_used_stays_out(name: str) -> None:
    assert not is_wanted(name)


@pytest.mark.parametrize(
    "name",
    [
        "PySide6/Qt/lib/libQt6Widgets.so.6",
        "PySide6/Qt/plugins/platforms/libqxcb.so",
        "PySide6/Qt/plugins/platforms/libqoffscreen.so",
        "PySide6/plugins/platforms/qwindows.dll",
        "PySide6/Qt/translations/qtbase_de.qm",
        "llama_cpp/lib/libggml-vulkan.so",
        "libxcb-cursor.so.0",
        "libzstd.so.1",
        "pillow.libs/libfreetype-57f805ba.so.6.20.6",
        "assets/models/starter.gguf",
    ],
)
def test_what_is_used_goes_in(name: str) -> None:
    assert is_wanted(name)


def test_one_name_of_each_library_is_a_file() -> None:
    assert is_full_version("llama_cpp/lib/libggml.so.0.25.3")
    assert not is_full_version("llama_cpp/lib/libggml.so.0")
    numbered = ("llama_cpp/lib/libggml.so.0", "/env/libggml.so.0", "BINARY")
    assert one_file_each(numbered) == ("llama_cpp/lib/libggml.so.0", "libggml.so", "SYMLINK")
    plain = ("llama_cpp/lib/libggml.so", "/env/libggml.so", "BINARY")
    assert one_file_each(plain) == plain


def test_libraries_that_nothing_loads_are_dropped() -> None:
    plugin = ("PySide6/Qt/plugins/platforms/libqxcb.so", "/env/plugins/libqxcb.so", "BINARY")
    used = ("libxcb.so.1", "/lib/libxcb.so.1", "BINARY")
    orphan = ("libgtk-3.so.0", "/lib/libgtk-3.so.0", "BINARY")
    loads = {"/env/plugins/libqxcb.so": ["libxcb.so.1"]}
    kept = without_orphans([plugin, used, orphan], lambda source: loads.get(source, []))
    assert kept == [plugin, used]


def test_links_to_files_that_are_not_there_are_dropped() -> None:
    file = ("llama_cpp/lib/libggml.so", "/env/libggml.so", "BINARY")
    link = ("llama_cpp/lib/libggml.so.0", "libggml.so", "SYMLINK")
    dead = ("libgtk-3.so.0", "gtk/libgtk-3.so.0", "SYMLINK")
    assert without_dead_links([file, link, dead]) == [file, link]
    assert without_dead_links([link, dead], others=[file]) == [link]


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
