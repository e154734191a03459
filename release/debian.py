"""Make the Debian package of the program's folder."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

from engine.version import VERSION
from release.components import ROOT
from release.desktop import install_desktop_files

PACKAGE = "phidelity"
DEPENDS = (
    "libc6 (>= 2.31)",
    "libegl1",
    "libgl1",
    "libfontconfig1",
    "libxcb1",
    "libx11-6",
    "libx11-xcb1",
    "zlib1g",
)
"""What the program takes from the system: PyInstaller leaves drivers, fonts and the C library outside."""

_CONTROL = """Package: {package}
Version: {version}
Architecture: {architecture}
Maintainer: The authors of Phidelity
Installed-Size: {size}
Depends: {depends}
Recommends: libgomp1, fonts-noto-core
Suggests: mesa-vulkan-drivers
Section: science
Priority: optional
Description: chat with Phi-3 models on your own computer, offline
 Phidelity converts and runs Microsoft's Phi-3 models and gives the answers that
 the models were trained to give. Nothing leaves the computer.
 .
 Chats, settings and imported models stay in the user's data folder when the
 package is removed.
"""


def write_deb(program: Path, out_folder: Path, date: int) -> Path:
    """Write `phidelity_VERSION_ARCHITECTURE.deb`; needs dpkg-deb."""
    architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    root = ROOT / "build" / "deb"
    shutil.rmtree(root, ignore_errors=True)
    _install(program, root, date)
    control = root / "DEBIAN" / "control"
    control.parent.mkdir()
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink()) // 1024
    text = _CONTROL.format(
        package=PACKAGE, version=VERSION, architecture=architecture, size=size, depends=", ".join(DEPENDS)
    )
    control.write_text(text, "utf-8")
    _set_modes(root)
    out = out_folder / f"{PACKAGE}_{VERSION}_{architecture}.deb"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(date)}
    command = ["dpkg-deb", "--build", "--root-owner-group", "-Zxz", "-z3", str(root), str(out)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    return out


def _install(program: Path, root: Path, date: int) -> None:
    """Lay out the tree as it will lie on the user's disk."""
    shutil.copytree(program, root / "usr/lib" / PACKAGE, symlinks=True)
    binaries = root / "usr/bin"
    binaries.mkdir(parents=True)
    for name in ("phidelity", "phidelity-engine"):
        (binaries / name).symlink_to(f"../lib/{PACKAGE}/{name}")
    install_desktop_files(root / "usr/share", date)
    documents = root / "usr/share/doc" / PACKAGE
    documents.mkdir(parents=True)
    shutil.copyfile(program / "NOTICE", documents / "copyright")
    packed = gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), 9, mtime=date)
    (documents / "changelog.gz").write_bytes(packed)


def _set_modes(root: Path) -> None:
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
