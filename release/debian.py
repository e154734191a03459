"""Make the Debian package of the program's folder."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from engine.version import VERSION
from release.components import ROOT
from release.desktop import install_desktop_files

PACKAGE = "phidelity"
DEPENDS = (
    "libgcc-s1",
    "libegl1",
    "libgl1",
    "libexpat1",
    "libfontconfig1",
    "libfreetype6",
    "libpng16-16",
    "libbrotli1",
    "libwayland-client0",
    "libwayland-cursor0",
    "libwayland-egl1",
    "libxcb1",
    "libx11-6",
    "libx11-xcb1",
    "zlib1g",
)
"""What the program takes from the system beside the libraries of C and C++ (release/bundle.py says why)."""

_GLIBC = re.compile(r"\bGLIBC_(\d+)\.(\d+)\b")

_CONTROL = """Package: {package}
Version: {version}
Architecture: {architecture}
Maintainer: The authors of Phidelity
Installed-Size: {size}
Depends: {depends}
Recommends: libvulkan1, fonts-noto-core
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
    """Write `phidelity_VERSION_ARCHITECTURE.deb`; needs dpkg-deb and objdump."""
    architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    out = out_folder / f"{PACKAGE}_{VERSION}_{architecture}.deb"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(date)}
    with tempfile.TemporaryDirectory(prefix="deb-", dir=out_folder) as temporary:
        root = Path(temporary) / "root"
        _install(program, root, date)
        _write_control(program, root, architecture)
        _set_modes(root)
        command = ["dpkg-deb", "--build", "--root-owner-group", "-Zxz", "-z3", str(root), str(out)]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return out


def _write_control(program: Path, root: Path, architecture: str) -> None:
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink()) // 1024
    cxx = f"libstdc++6 (>= {_major_version('libstdc++6')})"
    depends = ", ".join([f"libc6 (>= {needed_glibc(program)})", cxx, *DEPENDS])
    text = _CONTROL.format(package=PACKAGE, version=VERSION, architecture=architecture, size=size, depends=depends)
    control = root / "DEBIAN" / "control"
    control.parent.mkdir()
    control.write_text(text, "utf-8")


def needed_glibc(program: Path) -> str:
    """Give the oldest version of the C library that has what every file of the program asks for; needs objdump."""
    libraries = [path for path in program.rglob("*") if path.is_file() and not path.is_symlink() and _is_elf(path)]
    listed = subprocess.run(["objdump", "-p", *map(str, libraries)], capture_output=True, text=True, check=True).stdout
    newest = max((int(match[1]), int(match[2])) for match in _GLIBC.finditer(listed))
    return f"{newest[0]}.{newest[1]}"


def _major_version(package: str) -> str:
    """Give the first number of the version of a package of the building machine."""
    shown = subprocess.check_output(["dpkg-query", "--show", "--showformat=${Version}", package], text=True)
    return re.split(r"\D", shown, maxsplit=1)[0]


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


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
    packed = gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), 9, mtime=0)
    (documents / "NEWS.gz").write_bytes(packed)


def _set_modes(root: Path) -> None:
    for path in root.rglob("*"):
        if not path.is_symlink():
            runs = path.is_dir() or (path.stat().st_mode & 0o100 and ".so" not in path.name)
            path.chmod(0o755 if runs else 0o644)
