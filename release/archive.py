"""Pack the program's folder as a tar.gz, the same bytes for the same files."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path


def write_archive(folder: Path, out: Path, date: int) -> Path:
    """Write `folder` into `out`, owned by root, with `date` as the time of everything."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = date
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    with (
        out.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=date) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in [folder, *sorted(folder.rglob("*"))]:
            tar.add(
                path, f"{out.name.removesuffix('.tar.gz')}/{path.relative_to(folder)}", recursive=False, filter=plain
            )
    return out
