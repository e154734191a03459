"""Complete the folder that PyInstaller made, and say what is in it."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from release.components import ROOT, components
from release.notice import write_notice
from release.sbom import sbom
from release.system_libraries import system_components

DIST = ROOT / "dist"
SBOM = "sbom.cdx.json"
STABLE = {"PYTHONHASHSEED": "1"}
"""With a fixed order of sets PyInstaller makes the same archive twice."""

_MACHINES = {"amd64": "x86_64", "aarch64": "arm64"}


def complete(program: Path) -> None:
    """Write NOTICE, the licences and the bill of materials into the program's folder; raises MissingLicense."""
    found = [*components(), *system_components(program / "_internal")]
    write_notice(program, found)
    document = sbom(found)
    validate(document)
    (program / SBOM).write_text(document, "utf-8")


def validate(document: str) -> None:
    """Check a bill of materials against the schema of CycloneDX; raises ValueError."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(document)
    if error is not None:
        raise ValueError(f"The bill of materials is not valid: {error}")


def manifest(folder: Path) -> dict[str, str]:
    """Give the SHA-256 of every file, and the target of every link, by its place."""
    return {
        str(path.relative_to(folder)): f"-> {path.readlink()}" if path.is_symlink() else sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def write_manifest(folder: Path) -> None:
    """Write the manifest of a folder beside it, for the comparison of two builds."""
    text = json.dumps(manifest(folder), indent=1)
    folder.with_name(folder.name + ".files.json").write_text(text, "utf-8")


def write_sums(files: Iterable[Path], out: Path) -> None:
    """Write a file that `sha256sum --check` reads."""
    lines = "".join(f"{sha256(path)}  {path.name}\n" for path in sorted(files))
    out.write_text(lines, "utf-8", newline="\n")


def sha256(path: Path) -> str:
    """Give the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def source_date() -> int:
    """Give the time of the last commit, which stands for the time of everything that is built from it."""
    shown = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    # An unpacked source archive has no history.
    return int(shown.stdout.strip() or 1_577_836_800)


def platform_name() -> str:
    """Name the system and processor as they appear in the names of files."""
    system = {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    return f"{system}-{_MACHINES.get(machine, machine)}"
