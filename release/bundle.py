"""Say what of the environment belongs into the installed program."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import PurePath

Entry = tuple[str, str, str]
"""A file as PyInstaller lists it: place in the folder, source, kind."""

EXCLUDED_MODULES = [
    "readline",  # GPL, and for consoles alone
    "tkinter",
    "pip",
    "unittest",
    "pydoc",
    "PySide6.QtNetwork",
    "PySide6.QtQml",
    "PySide6.QtQuick",
    "llama_cpp.server",
    # Of libraries whose other parts are used; nothing here trains or serves.
    "torch",
    "transformers",
    "chardet",
    "IPython",
    "matplotlib",
    "PIL.ImageTk",
    "PIL.ImageQt",
]
"""Modules that are found by a scan for imports and never run."""

NEEDED_BY_TRAINING = ("unittest", "pydoc")
"""Excluded from the window alone: PyTorch and transformers import them."""

_NOT_FOR_TRAINING = re.compile(
    r"""
    (antigravity|distutils|ensurepip|idlelib|lib2to3|pip|test|this|tkinter|_tkinter|turtle|turtledemo|venv)\b
    | (curses|_curses|_curses_panel|crypt|_crypt|nis|ossaudiodev|spwd)\b  # consoles, sound cards, passwords
    | (readline|_gdbm|_dbm|dbm\.gnu|dbm\.ndbm)\b  # GPL
    | .*(\.tests?\b|\.idle_test\b|\.__main__$) | _test | _xxtest | xx | _xx(?!subinterpreters)
    """,
    re.VERBOSE,
)

_UNWANTED = re.compile(
    r"""
    (^|[/\\])PySide6[/\\].*(
        Qt6(Qml|Quick|Pdf|VirtualKeyboard|Designer|Test|Sql|OpenGLWidgets|EglFSDevice)  # pulled in by plugins alone
      | plugins[/\\](designer|egldeviceintegrations|generic|networkinformation|printsupport|qmllint|qmltooling
            |sqldrivers|tls|vectorimageformats|wayland-graphics-integration-server)[/\\]
      | plugins[/\\]imageformats[/\\](lib)?q(pdf|tga|wbmp|icns|tiff)\b
      | plugins[/\\]platforminputcontexts[/\\](lib)?qtvirtualkeyboard
      | plugins[/\\]platforms[/\\](lib)?q(eglfs|linuxfb|minimal|minimalegl|vnc|vkkhrdisplay)\b
      | plugins[/\\]platformthemes[/\\](lib)?qgtk3\b
      | translations[/\\](?!qtbase_)
    )
    | (^|[/\\])llama_cpp[/\\].*\.(h|cmake|lib|a)$
    """,
    re.VERBOSE,
)

_OF_THE_SYSTEM = re.compile(
    r"^lib(vulkan|stdc\+\+|gcc_s|X11|X11-xcb|Xau|Xdmcp|bsd|md|expat|z|fontconfig|freetype|png16|brotli(dec|common))\.so"
)
"""Libraries that graphics drivers and fonts of the system use too: drivers do not work with older ones than theirs."""

_LLAMA_FULL = re.compile(r"llama_cpp/lib/lib[\w-]+(\.so(\.\d+){2,}|(\.\d+){2,}\.dylib)$")
_LLAMA_NUMBERED = re.compile(r"llama_cpp/lib/(?P<stem>lib[\w-]+)(?P<ending>\.so\.\d+|\.\d+\.dylib)$")


def is_wanted(name: str) -> bool:
    """Tell whether a file that was collected, by its place in the folder, is used by the program."""
    return _UNWANTED.search(name) is None and _OF_THE_SYSTEM.match(PurePath(name).name) is None


def is_for_training(module: str) -> bool:
    """Tell whether a module of the standard library may be wanted by the packages that training installs later."""
    return _NOT_FOR_TRAINING.match(module) is None


def is_full_version(name: str) -> bool:
    """Tell whether a file is one of llama.cpp's libraries under a name that nothing asks for, as libggml.so.0.25.3."""
    return _LLAMA_FULL.search(name) is not None


def one_file_each(entry: Entry) -> Entry:
    """Turn the numbered copy of one of llama.cpp's libraries into a link to the other, in PyInstaller's terms."""
    name, _, _ = entry
    match = _LLAMA_NUMBERED.search(name)
    if match is None:
        return entry
    plain = f"{match['stem']}.so" if match["ending"].startswith(".so") else f"{match['stem']}.dylib"
    return name, plain, "SYMLINK"


def without_orphans(entries: Iterable[Entry], imports: Callable[[str], Iterable[str]]) -> list[Entry]:
    """Drop the libraries that came with plugins which are not wanted: those that nothing else in `entries` loads.

    `imports` gives the names of all libraries that a file loads, directly or not.
    """
    entries = list(entries)
    needed = {
        name for _, source, kind in entries if kind != "SYMLINK" and not _is_library(source) for name in imports(source)
    }
    return [entry for entry in entries if not _is_library(entry[0]) or PurePath(entry[0]).name in needed]


def without_dead_links(entries: Iterable[Entry], others: Iterable[Entry] = ()) -> list[Entry]:
    """Drop the links whose files are neither in `entries` nor in `others`."""
    entries = list(entries)
    places = {entry[0] for entry in (*entries, *others)}

    def leads_somewhere(entry: Entry) -> bool:
        name, target, kind = entry
        return kind != "SYMLINK" or str(PurePath(name).parent / target) in places

    return [entry for entry in entries if leads_somewhere(entry)]


def _is_library(name: str) -> bool:
    """Tell a library that is only loaded through others from plugins, extensions of Python and what ctypes opens."""
    path = PurePath(name)
    loaded_by_name = "plugins" in path.parts or "llama_cpp" in path.parts or ".cpython-" in path.name
    loaded_by_name = loaded_by_name or ".abi3." in path.name or path.name.startswith("libpython")
    return not loaded_by_name and ".so" in path.name
