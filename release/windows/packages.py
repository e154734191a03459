"""Pack the program's folder for Windows: an installer made with Inno Setup, and a zip that needs no installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

from engine.version import VERSION
from release.components import ROOT
from release.folder import platform_name
from release.windows.signing import sign, signing_command
from release.windows.version_resource import version_numbers

SCRIPT = ROOT / "release" / "windows" / "phidelity.iss"


def write_packages(program: Path, out_folder: Path, date: int) -> list[Path]:
    """Sign the programs if there is a certificate, and write the packages; the installer where Inno Setup is."""
    sign(sorted(program.glob("*.exe")))
    name = f"phidelity-{VERSION}-{platform_name()}"
    files = [write_zip(program, out_folder / f"{name}.zip", date)]
    compiler = find_compiler()
    if compiler is None:
        print("Inno Setup is not installed: no installer is made.", flush=True)
        return files
    from release.icons import write_ico  # Qt, which only drawing needs

    icon = write_ico(ROOT / "build" / "icons" / "phidelity.ico")
    subprocess.run(installer_command(compiler, program, out_folder, f"{name}-setup", icon), check=True)
    return [*files, out_folder / f"{name}-setup.exe"]


def installer_command(compiler: str, program: Path, out_folder: Path, name: str, icon: Path) -> list[str]:
    """Give the call of Inno Setup's compiler; what is signed there are the installer and the uninstaller."""
    defined = {
        "Version": VERSION,
        "VersionNumbers": ".".join(map(str, version_numbers(VERSION))),
        "Program": str(program),
        "Output": str(out_folder),
        "Name": name,
        "Icon": str(icon),
    }
    command = [compiler, "/Qp", *(f"/D{key}={value}" for key, value in defined.items())]
    signing = signing_command()
    if signing:
        # $f is the file and $q a quote in the words of Inno Setup.
        command += ["/DSign", "/Sphidelity=" + " ".join(f"$q{word}$q" for word in signing) + " $f"]
    return [*command, str(SCRIPT)]


def find_compiler() -> str | None:
    """Find Inno Setup's compiler on the path or where its own installer puts it."""
    folders = [os.environ.get(name) for name in ("ProgramFiles(x86)", "ProgramFiles", "LOCALAPPDATA")]
    places = [Path(folder) / inner for folder in folders if folder for inner in ("", "Programs")]
    installed = [place / "Inno Setup 6" / "ISCC.exe" for place in places]
    return shutil.which("ISCC") or next((str(path) for path in installed if path.is_file()), None)


def write_zip(folder: Path, out: Path, date: int) -> Path:
    """Write a folder into `out`, the same bytes for the same files."""
    moment = time.gmtime(date)[:6]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            place = f"{out.stem}/{path.relative_to(folder).as_posix()}"
            entry = zipfile.ZipInfo(place, moment)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)
    return out
