"""Test that the same files make the same archive."""

import os
import tarfile
from pathlib import Path

from release.archive import write_archive

DATE = 1_700_000_000


def make_folder(folder: Path, *, time: int, mode: int) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "program").write_bytes(b"\x7fELF")
    (folder / "program").chmod(0o711)
    (folder / "sub" / "data.txt").write_text("data")
    (folder / "sub" / "data.txt").chmod(mode)
    (folder / "sub" / "link").symlink_to("data.txt")
    for path in folder.rglob("*"):
        os.utime(path, (time, time), follow_symlinks=False)
    return folder


def test_times_and_owners_of_the_building_machine_do_not_matter(tmp_path: Path) -> None:
    archives = []
    for place, time, mode in (("one", 1, 0o600), ("other", 999_999, 0o644)):
        folder = make_folder(tmp_path / place / "phidelity", time=time, mode=mode)
        archives.append(write_archive(folder, tmp_path / place / "phidelity-1.tar.gz", DATE).read_bytes())
    assert archives[0] == archives[1]


def test_what_is_in_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "phidelity", time=1, mode=0o600)
    with tarfile.open(write_archive(folder, tmp_path / "phidelity-1.tar.gz", DATE)) as tar:
        entries = {entry.name: entry for entry in tar}
    assert set(entries) == {f"phidelity-1/{name}" for name in (".", "program", "sub", "sub/data.txt", "sub/link")}
    assert entries["phidelity-1/program"].mode == 0o755
    assert entries["phidelity-1/sub/data.txt"].mode == 0o644
    assert entries["phidelity-1/sub/link"].linkname == "data.txt"
    assert {(entry.uname, entry.mtime) for entry in entries.values()} == {("root", DATE)}
