"""Write NOTICE and the folder of licences: everything that the program contains of others."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from engine.version import VERSION
from release.components import Component

_HEAD = f"""Phidelity {VERSION}
Copyright the authors of Phidelity. Licensed under the Apache License, Version 2.0.

This program contains the following works of others. The texts of their licences are in the folder licenses.
Qt and PySide6 are used under the GNU Lesser General Public License, version 3: their libraries lie beside the program
as files of their own, and may be replaced by other builds of the same version; their sources are at
https://download.qt.io/official_releases/ and https://code.qt.io/.
"""


class MissingLicense(Exception):
    """Say that a part of the program has no text of a licence to pass on."""


def write_notice(folder: Path, components: Sequence[Component]) -> None:
    """Write `NOTICE` and `licenses/` into a folder; raises MissingLicense."""
    licenses = folder / "licenses"
    shutil.rmtree(licenses, ignore_errors=True)
    licenses.mkdir(parents=True)
    lines = [_HEAD]
    for component in components:
        if not component.texts:
            raise MissingLicense(f"There is no text of the licence of {component.name} {component.version}.")
        lines.append(f"{component.name} {component.version}\n  Licence: {_license(component)}\n  {component.origin}")
        for number, text in enumerate(component.texts):
            suffix = f"-{number + 1}" if number else ""
            shutil.copyfile(text, licenses / f"{_file_name(component.name)}{suffix}.txt")
    (folder / "NOTICE").write_text("\n".join(lines) + "\n", "utf-8")


def _license(component: Component) -> str:
    return f"see licenses/{_file_name(component.name)}.txt" if component.license == "NOASSERTION" else component.license


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", name)
