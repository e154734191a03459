"""Check that the documents lead somewhere: links to files and headings, and commands that the program understands."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from app.__main__ import _parse as parse_app
from converter.__main__ import _parser as converter_parser
from engine.__main__ import build_parser

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tests/data/**/README.md")])
DOCUMENTS = [path for path in DOCUMENTS if "runs" not in path.parts]
LINK = re.compile(r"\]\(([^)\s]+)\)")
PARSERS = {"engine": build_parser, "converter": converter_parser}


def text_of(path: Path) -> str:
    """Give a document with continued lines joined."""
    return path.read_text("utf-8").replace("\\\n", " ")


def anchors(path: Path) -> set[str]:
    """Give the names of a document's headings as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(pattern: str) -> list[tuple[str, str]]:
    """Give the commands in all documents, with the name of the document."""
    return [(path.name, found) for path in DOCUMENTS for found in re.findall(pattern, text_of(path))]


def is_understood(program: str, words: list[str]) -> bool:
    """Tell whether a program's own parser takes a command."""
    try:
        PARSERS[program]().parse_args(words)
    except SystemExit as end:
        return end.code == 0
    return True


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(path: Path) -> None:
    for target in LINK.findall(path.read_text("utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_every_document_is_led_to() -> None:
    led_to = {
        (path.parent / target.partition("#")[0]).resolve()
        for path in DOCUMENTS
        for target in LINK.findall(path.read_text("utf-8"))
    }
    known = {(ROOT / name).resolve() for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}
    assert {path.resolve() for path in ROOT.glob("docs/*.md")} <= led_to | known


@pytest.mark.parametrize("program", ["engine", "converter"])
def test_commands_are_understood(program: str) -> None:
    written = commands(rf"python -m {program} ([^`\n#|]+)")
    if program == "engine":
        written += commands(r"phidelity-engine ((?!-m)[^`\n#|]+)")
    assert len(written) >= 3
    for document, line in written:
        words = ["1" if word == "N" else word for word in shlex.split(line)]
        # In running text a command is named without its arguments.
        words = words if len(words) > 1 or words[0].startswith("-") else [*words, "--help"]
        assert is_understood(program, words), f"{document}: {line}"


def test_commands_of_the_window_are_understood() -> None:
    for _, line in commands(r"python -m app((?: [^`\n#|]+)?)"):
        parse_app(shlex.split(line))


def test_modules_that_are_called_are_there() -> None:
    called = {name for _, name in commands(r"python -m ([\w.]+)")} - {"pytest", "pip"}
    assert "benchmarks.window" in called
    assert [name for name in called if importlib.util.find_spec(name) is None] == []
    scripts = {name for _, name in commands(r"\b((?:benchmarks|tests)/[\w/]+\.py)")}
    assert [name for name in scripts if not (ROOT / name).is_file()] == []


def test_targets_and_commands_of_the_set_up_are_there() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    known = (ROOT / "bootstrap.py").read_text("utf-8")
    assert {name for _, name in commands(r"`make (\w+)")} <= targets
    assert all(f'"{name}"' in known for _, name in commands(r"python bootstrap\.py (\w+)"))
