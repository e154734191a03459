"""Build the installed program and the packages of this system, and test them: `python -m release.package`.

Results lie in dist/. `make package` runs this in an environment that holds requirements/package.lock, and llama.cpp
built so that the program runs on every processor (llama_builds.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from engine.version import VERSION
from release import install_test
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
    tests = [["release.smoke", str(program)], *install_tests(files)]
    return max(subprocess.call([sys.executable, "-m", *test], cwd=ROOT) for test in tests)


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


def install_tests(files: list[Path]) -> list[list[str]]:
    """Give the tests that install packages, where this process may run them."""
    packages = [file for file in files if file.suffix == ".deb"]
    if install_test.can_run():
        return [["release.install_test", str(package)] for package in packages]
    if packages:
        print("The Debian package was not installed for a test: that needs root and debootstrap.", flush=True)
    return []


if __name__ == "__main__":
    sys.exit(main())
