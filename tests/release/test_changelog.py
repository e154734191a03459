"""Check that the notes of a release are those of its version, and that nothing is released without them."""

from pathlib import Path

import pytest

from engine.version import VERSION
from release.changelog import CHANGELOG, NotReady, main, notes

TEXT = """# Changelog

## [Unreleased]

## [0.2.0] - 2027-01-31
### Added
- Something [new](docs/new.md).

## [0.1.1]
- Not yet dated.

## [0.1.0] - 2026-12-01
"""


@pytest.fixture
def changelog(tmp_path: Path) -> Path:
    path = tmp_path / "CHANGELOG.md"
    path.write_text(TEXT, "utf-8")
    return path


def test_the_notes_are_those_of_the_version(changelog: Path) -> None:
    assert notes(changelog, "0.2.0") == "### Added\n- Something [new](docs/new.md).\n"


@pytest.mark.parametrize(
    ("version", "why"), [("0.3.0", "no section"), ("0.1.1", "no date"), ("0.1.0", "no changes"), ("0.2", "no section")]
)
def test_without_a_date_and_changes_there_is_no_release(version: str, why: str, changelog: Path) -> None:
    with pytest.raises(NotReady, match=why):
        notes(changelog, version)


def test_another_tag_is_refused_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"v{VERSION}.1"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"changelog: The tag is v{VERSION}.1, and the version in engine/version.py is {VERSION}.\n"


def test_this_version_is_in_the_changelog() -> None:
    headings = [line for line in CHANGELOG.read_text("utf-8").splitlines() if line.startswith("## ")]
    assert any(heading.startswith(f"## [{VERSION}]") for heading in headings)
