"""Make a Debian package of a tiny program, and look into it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.version import VERSION
from release.debian import needed_glibc, write_deb
from release.install_test import OLDER, ONLY_IN_OLDER, older_package

DATE = 1_700_000_000
TOOLS = ("dpkg", "dpkg-deb", "objdump")
pytestmark = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Make a folder as PyInstaller does, with a program of this system in the place of ours."""
    folder = tmp_path / "phidelity"
    (folder / "_internal").mkdir(parents=True)
    for name in ("phidelity", "phidelity-engine"):
        shutil.copy("/bin/true", folder / name)
    (folder / "_internal" / "data.txt").write_text("data")
    (folder / "_internal" / "data.txt").chmod(0o600)
    shutil.copy("/bin/true", folder / "_internal" / "libused.so.1")
    (folder / "_internal" / "link.txt").symlink_to("data.txt")
    (folder / "NOTICE").write_text("Licences")
    return folder


def field(package: Path, name: str) -> str:
    return subprocess.check_output(["dpkg-deb", "--field", str(package), name], text=True).strip()


def contents(package: Path) -> dict[str, str]:
    """Map the places of files, with the targets of links, to modes and owners."""
    lines = subprocess.check_output(["dpkg-deb", "--contents", str(package)], text=True).splitlines()
    return {line.split(maxsplit=5)[5]: " ".join(line.split()[:2]) for line in lines}


def test_the_control_file(program: Path, tmp_path: Path) -> None:
    package = write_deb(program, tmp_path, DATE)
    assert package.name == f"phidelity_{VERSION}_{field(package, 'Architecture')}.deb"
    assert (field(package, "Package"), field(package, "Version")) == ("phidelity", VERSION)
    assert re.match(rf"libc6 \(>= {needed_glibc(program)}\), libstdc\+\+6 \(>= \d+\), ", field(package, "Depends"))
    assert int(field(package, "Installed-Size")) > 0
    assert field(package, "Description").startswith("chat with Phi-3 models")


def test_files_lie_where_debian_wants_them_and_belong_to_root(program: Path, tmp_path: Path) -> None:
    found = contents(write_deb(program, tmp_path, DATE))
    assert found["./usr/lib/phidelity/phidelity"] == "-rwxr-xr-x root/root"
    for name in ("data.txt", "libused.so.1"):
        assert found[f"./usr/lib/phidelity/_internal/{name}"] == "-rw-r--r-- root/root"
    for place in (
        "./usr/bin/phidelity -> ../lib/phidelity/phidelity",
        "./usr/bin/phidelity-engine -> ../lib/phidelity/phidelity-engine",
        "./usr/lib/phidelity/_internal/link.txt -> data.txt",
        "./usr/share/applications/phidelity.desktop",
        "./usr/share/mime/packages/phidelity.xml",
        "./usr/share/icons/hicolor/scalable/apps/phidelity.svg",
        "./usr/share/metainfo/org.phidelity.Phidelity.metainfo.xml",
        "./usr/share/doc/phidelity/copyright",
        "./usr/share/doc/phidelity/NEWS.gz",
    ):
        assert place in found
    assert {owner.split()[1] for owner in found.values()} == {"root/root"}


def test_the_same_program_makes_the_same_package(program: Path, tmp_path: Path) -> None:
    packages = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        packages.append(write_deb(program, tmp_path / name, DATE).read_bytes())
        (program / "NOTICE").touch()
    assert packages[0] == packages[1]


def test_nothing_but_the_package_is_left(program: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    package = write_deb(program, out, DATE)
    assert list(out.iterdir()) == [package]


def test_the_older_package_of_the_install_test_is_older_and_has_one_file_more(program: Path, tmp_path: Path) -> None:
    package = write_deb(program, tmp_path, DATE)
    older = older_package(package, tmp_path)
    assert field(older, "Version") == OLDER
    assert contents(older).keys() - contents(package).keys() == {f"./{ONLY_IN_OLDER}"}
