"""Test that everything that is passed on is named with its licence."""

from pathlib import Path

import pytest

from release.components import Component, components
from release.notice import MissingLicense, write_notice


def test_every_component_has_a_licence_with_a_text(tmp_path: Path) -> None:
    found = components()
    write_notice(tmp_path, found)
    notice = (tmp_path / "NOTICE").read_text("utf-8")
    for name in ("Python", "PySide6", "llama.cpp", "numpy", "Inter", "SmolLM2-135M-Instruct"):
        assert name.lower() in notice.lower()
    assert "Licence: LGPL-3.0-only" in notice
    texts = {path.name for path in (tmp_path / "licenses").iterdir()}
    assert len(texts) >= len(found)
    assert all((tmp_path / "licenses" / name).stat().st_size > 20 for name in texts)


def test_a_component_without_a_text_is_an_error(tmp_path: Path) -> None:
    bare = Component("bare", "1.0", "MIT", "pkg:pypi/bare@1.0", ())
    with pytest.raises(MissingLicense, match=r"bare 1\.0"):
        write_notice(tmp_path, [bare])


def test_texts_of_another_build_are_removed(tmp_path: Path) -> None:
    stale = tmp_path / "licenses" / "gone.txt"
    stale.parent.mkdir()
    stale.touch()
    write_notice(tmp_path, [])
    assert not stale.exists()
