"""Build the installed program and its packages on Linux: `python -m release.package`. Results lie in dist/.

The environment must hold requirements/app.lock and pyinstaller, and llama.cpp built with GGML_NATIVE=OFF,
GGML_BACKEND_DL=ON and GGML_CPU_ALL_VARIANTS=ON, so that the program runs on every processor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from engine.version import VERSION
from release.archive import write_archive
from release.components import ROOT
from release.debian import write_deb
from release.folder import DIST, STABLE, complete, platform_name, source_date, write_manifest, write_sums
from release.macos import packages as macos
from release.windows import packages as windows


def main() -> int:
    """Build, complete, pack and test; return the exit status."""
    program = build()
    complete(program)
    write_manifest(program)
    size = sum(path.stat().st_size for path in program.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"program: {size / 1e6:.0f} MB unpacked", flush=True)
    files = pack(program)
    write_sums(files, DIST / f"SHA256SUMS-{platform_name()}.txt")
    for file in files:
        print(f"{file.name}: {file.stat().st_size / 1e6:.0f} MB", flush=True)
    return subprocess.call([sys.executable, "-m", "release.smoke", str(program)], cwd=ROOT)


def build() -> Path:
    """Run PyInstaller and give the program's folder."""
    work = ROOT / "build" / "pyinstaller"
    shutil.rmtree(DIST, ignore_errors=True)
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--clean", "--log-level", "WARN"]
    command += ["--distpath", str(DIST), "--workpath", str(work), str(ROOT / "build.spec")]
    environment = {**os.environ, **STABLE, "SOURCE_DATE_EPOCH": str(source_date())}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return DIST / "phidelity"


def pack(program: Path) -> list[Path]:
    """Make the packages of this system; on Linux the archive, and the Debian package where its tools are."""
    if sys.platform == "win32":
        return windows.write_packages(program, DIST, source_date())
    if sys.platform == "darwin":
        return macos.write_packages(program, DIST, source_date())
    name = f"phidelity-{VERSION}-{platform_name()}"
    files = [write_archive(program, DIST / f"{name}.tar.gz", source_date())]
    if shutil.which("dpkg-deb"):
        files.append(write_deb(program, DIST, source_date()))
    return files


if __name__ == "__main__":
    sys.exit(main())
