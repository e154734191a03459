"""Check which programs the smoke test starts."""

import shutil
import sys
from pathlib import Path

import pytest

from release.smoke import Installed, used_folder


@pytest.mark.parametrize(
    ("system", "folder"),
    [("linux", "dist/phidelity"), ("win32", "dist/phidelity"), ("darwin", "dist/Phidelity.app/Contents/MacOS")],
)
def test_what_a_user_starts_is_tested(system: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert used_folder(Path("dist/phidelity")) == Path(folder)


def test_the_program_finds_no_python(tmp_path: Path) -> None:
    environment = Installed(tmp_path, tmp_path / "home", None).environment
    assert shutil.which("python3", path=environment["PATH"]) is None
    assert shutil.which("python", path=environment["PATH"]) is None
    assert not any(name.startswith("PYTHON") for name in environment)
