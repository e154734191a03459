"""Name the libraries of the building system that were copied into the program, by Debian package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from release.components import Component

_STANDARD = ("/lib", "/usr/lib")


def system_components(folder: Path) -> list[Component]:
    """List the Debian packages that libraries in `folder` come from; empty on systems without dpkg."""
    if shutil.which("dpkg-query") is None:
        return []
    names = {path.name for path in folder.iterdir() if _is_copied(path)}
    patterns = [f"*/{name}" for name in sorted(names)]
    listed = subprocess.run(["dpkg-query", "--search", *patterns], capture_output=True, text=True, check=False).stdout
    packages = {line.split(":")[0] for line in listed.splitlines() if _is_standard(line)}
    return [_component(package) for package in sorted(packages)]


def _is_copied(path: Path) -> bool:
    # Python is listed as itself, wherever it was built.
    return ".so" in path.name and not path.is_symlink() and not path.name.startswith("libpython")


def _is_standard(line: str) -> bool:
    path = line.partition(": ")[2]
    return path.startswith(_STANDARD) and "/" not in path.split("-linux-gnu/")[-1]


def _component(package: str) -> Component:
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    version = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split("\n")[0]
    text = Path("/usr/share/doc") / package / "copyright"
    texts = (text,) if text.is_file() else ()
    return Component(package, version, "NOASSERTION", f"pkg:deb/debian/{package}@{version}", texts)
