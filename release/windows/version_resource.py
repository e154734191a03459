"""Write what Windows shows of the programs under Properties, Details, in the words of PyInstaller."""

from __future__ import annotations

import re
from pathlib import Path

from engine.version import VERSION

_TEXT = """VSVersionInfo(
  ffi=FixedFileInfo(filevers={numbers}, prodvers={numbers}, mask=0x3f, OS=0x40004, fileType=0x1),
  kids=[
    StringFileInfo([StringTable('040904B0', [
      StringStruct('CompanyName', 'The authors of Phidelity'),
      StringStruct('FileDescription', {description!r}),
      StringStruct('FileVersion', {version!r}),
      StringStruct('InternalName', {name!r}),
      StringStruct('LegalCopyright', 'The authors of Phidelity. Apache License 2.0.'),
      StringStruct('OriginalFilename', {file!r}),
      StringStruct('ProductName', 'Phidelity'),
      StringStruct('ProductVersion', {version!r})])]),
    VarFileInfo([VarStruct('Translation', [1033, 1200])])
  ]
)
"""
DESCRIPTIONS = {"phidelity": "Phidelity", "phidelity-engine": "Phidelity: the engine and the command line"}


def write_version_resource(name: str, out: Path) -> str:
    """Write the resource of a program and give the path as a text."""
    out.parent.mkdir(parents=True, exist_ok=True)
    values = {"name": name, "file": f"{name}.exe", "description": DESCRIPTIONS[name]}
    out.write_text(_TEXT.format(version=VERSION, numbers=version_numbers(VERSION), **values), "utf-8")
    return str(out)


def version_numbers(version: str) -> tuple[int, int, int, int]:
    """Give the four numbers that Windows compares; what follows them, as in 1.2.0rc1, is left out."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?(?:\.(\d+))?", version)
    if found is None:
        raise ValueError(f"{version!r} is no version.")
    first, second, third, fourth = (int(number or 0) for number in found.groups())
    return first, second, third, fourth
