"""Check which programs the smoke test starts."""

import sys
from pathlib import Path

import pytest

from release.smoke import used_folder


@pytest.mark.parametrize(
    ("system", "folder"),
    [("linux", "dist/phidelity"), ("win32", "dist/phidelity"), ("darwin", "dist/Phidelity.app/Contents/MacOS")],
)
def test_what_a_user_starts_is_tested(system: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert used_folder(Path("dist/phidelity")) == Path(folder)
