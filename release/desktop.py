"""Put the files that tell a Linux desktop about the program where it looks for them."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

from engine.version import VERSION
from release.components import ROOT

LINUX = ROOT / "release" / "linux"
METAINFO = "org.phidelity.Phidelity.metainfo.xml"


def install_desktop_files(share: Path, date: int) -> None:
    """Write the desktop entry, the file type, the icon and the AppStream metadata under a folder such as /usr/share."""
    for source, place in (
        (LINUX / "phidelity.desktop", "applications/phidelity.desktop"),
        (LINUX / "phidelity-mime.xml", "mime/packages/phidelity.xml"),
        (ROOT / "assets" / "icons" / "phidelity.svg", "icons/hicolor/scalable/apps/phidelity.svg"),
    ):
        target = share / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    target = share / "metainfo" / METAINFO
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(metainfo(date), "utf-8")


def metainfo(date: int) -> str:
    """Give the AppStream metadata of this version."""
    day = datetime.datetime.fromtimestamp(date, datetime.UTC).date().isoformat()
    return (LINUX / METAINFO).read_text("utf-8").replace("@VERSION@", VERSION).replace("@DATE@", day)
