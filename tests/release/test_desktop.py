"""Test what a Linux desktop is told about the program."""

import configparser
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from engine.version import VERSION
from release.desktop import METAINFO, install_desktop_files

DATE = 1_700_000_000


@pytest.fixture
def share(tmp_path: Path) -> Path:
    install_desktop_files(tmp_path, DATE)
    return tmp_path


def test_the_entry_opens_gguf_files(share: Path) -> None:
    entry = configparser.ConfigParser(interpolation=None)
    entry.read(share / "applications" / "phidelity.desktop", "utf-8")
    assert entry["Desktop Entry"]["Exec"] == "phidelity %f"
    assert entry["Desktop Entry"]["MimeType"] == "application/x-gguf;"
    mime = ElementTree.parse(share / "mime" / "packages" / "phidelity.xml")
    namespace = "{http://www.freedesktop.org/standards/shared-mime-info}"
    (kind,) = mime.getroot()
    assert kind.get("type") == "application/x-gguf"
    assert [glob.get("pattern") for glob in kind.iter(f"{namespace}glob")] == ["*.gguf"]


def test_the_metadata_name_this_version_and_its_day(share: Path) -> None:
    release = ElementTree.parse(share / "metainfo" / METAINFO).find("releases/release")
    assert release is not None
    assert release.attrib == {"version": VERSION, "date": "2023-11-14"}


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("desktop-file-validate", ["applications/phidelity.desktop"]),
        ("appstreamcli", ["validate", "--no-net", f"metainfo/{METAINFO}"]),
    ],
)
def test_the_tools_of_the_desktop_find_no_fault(share: Path, tool: str, arguments: list[str]) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is missing")
    done = subprocess.run([tool, *arguments], cwd=share, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
