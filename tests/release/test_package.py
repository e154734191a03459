"""Check that each system makes its own packages."""

import sys
from pathlib import Path

import pytest

from release import package


@pytest.mark.parametrize(("system", "module"), [("win32", package.windows), ("darwin", package.macos)])
def test_other_systems_make_their_own(system: str, module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(module, "write_packages", lambda *arguments: called.append(arguments) or [tmp_path])
    assert package.pack(tmp_path / "phidelity") == [tmp_path]
    assert called == [(tmp_path / "phidelity", package.DIST, package.source_date())]
