"""Pin what training needs, for every system: `python -m release.training_lock [--wheel FILE]` (needs uv).

It writes requirements/pylock.train.toml, a lock file as the packaging specifications define it, with the size and the
SHA-256 of every wheel, and its path on the host that pip uses. The group `cuda` chooses the builds for NVIDIA cards.
PyPI has PyTorch for Linux with CUDA only; the build without it, and for Windows the build with it, come from PyTorch's
own index. Where that cannot be reached, `--wheel` gives the files of these builds that are at hand.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from release.components import ROOT
from release.folder import sha256

LOCK = ROOT / "requirements" / "pylock.train.toml"
PYTORCH = "https://download.pytorch.org/whl/"
SECONDS = 20
CUDA = "cuda"
IMPORTS = ["torch", "transformers", "peft", "tokenizers", "pyarrow", "datasketch", "py3langid", "pypdfium2"]
"""What must be importable when the environment is made."""

OWN_BUILDS = {
    "cpu": ("sys_platform == 'linux' and 'cuda' not in dependency_groups",
            "(sys_platform != 'linux' or 'cuda' in dependency_groups)"),
    "cu130": ("sys_platform == 'win32' and 'cuda' in dependency_groups",
              "(sys_platform != 'win32' or 'cuda' not in dependency_groups)"),
}  # fmt: skip
"""Builds of PyTorch that only its own index has: its folder there, where the build is wanted, and where it is not."""

_FOR_CUDA = re.compile(r"nvidia-|cuda-|triton$")
_INTERPRETERS = {"py3", *(f"{name}{minor}" for name in ("py3", "cp3") for minor in (11, 12, 13, 14))}
_PLATFORM = re.compile(r"any$|manylinux.*_(x86_64|aarch64)$|win_amd64$|macosx_.*_(arm64|universal2)$")
_LINK = re.compile(r'href="([^"#]+\.whl)#sha256=([0-9a-f]{64})"')

Wheel = dict[str, Any]
Package = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Resolve, add PyTorch's own builds, write the file."""
    parser = argparse.ArgumentParser(description="Pin what training needs.")
    parser.add_argument("--wheel", action="append", type=Path, default=[], help="a build of PyTorch that is at hand")
    at_hand = parser.parse_args(arguments).wheel
    packages = [trimmed(package) for package in resolved()]
    torch = next(package for package in packages if package["name"] == "torch")
    for build, (marker, elsewhere) in OWN_BUILDS.items():
        wheels = own_build(build, torch["version"], at_hand)
        if not wheels and build == "cpu":
            print("Without the build for processors the lock would be of no use on Linux: give its --wheel.")
            return 1
        if wheels:
            torch["marker"] = f"{torch['marker']} and {elsewhere}" if "marker" in torch else elsewhere
            version = parse_wheel_filename(_file_name(wheels[0]["url"]))[1]
            packages.append({"name": "torch", "version": str(version), "marker": marker, "wheels": wheels})
    packages.sort(key=lambda package: (package["name"], package["version"]))
    LOCK.write_text(as_toml(packages), "utf-8")
    print(f"{LOCK.name}: {len(packages)} packages, {sum(len(package['wheels']) for package in packages)} wheels")
    return 0


def resolved() -> list[Package]:
    """Let uv find versions for the extra `train` on all systems, the same as in requirements/dev.lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    command = ["uv", "pip", "compile", "-q", "--universal", "--python-version", "3.11", "--format", "pylock.toml"]
    command += ["-c", "requirements/dev.lock", "-"]
    wanted = "\n".join(project["optional-dependencies"]["train"])
    done = subprocess.run(command, cwd=ROOT, input=wanted, stdout=subprocess.PIPE, text=True, check=True)
    packages: list[Package] = tomllib.loads(done.stdout)["packages"]
    return [package for package in packages if "== 'emscripten'" not in package.get("marker", "")]


def trimmed(package: Package) -> Package:
    """Keep of a package what the program's systems can use."""
    marker = package.get("marker")
    if _FOR_CUDA.match(package["name"]):
        marker = f"({marker}) and 'cuda' in dependency_groups" if marker else "'cuda' in dependency_groups"
    wheels = [
        {"path": urlsplit(wheel["url"]).path.lstrip("/"), "size": wheel["size"], "sha256": wheel["hashes"]["sha256"]}
        for wheel in package["wheels"]
        if any(_is_ours(tag) for tag in parse_wheel_filename(_file_name(wheel["url"]))[3])
    ]
    kept: Package = {"name": package["name"], "version": package["version"], "wheels": wheels}
    return {**kept, "marker": marker} if marker else kept


def _is_ours(tag: Tag) -> bool:
    older = tag.abi == "abi3" and tag.interpreter.startswith("cp3")
    fits = tag.interpreter in _INTERPRETERS or older
    return fits and not tag.abi.endswith("t") and _PLATFORM.match(tag.platform) is not None


def own_build(build: str, version: str, at_hand: Iterable[Path]) -> list[Wheel]:
    """Find the wheels of a build on PyTorch's index, else among the files at hand."""
    page_address = f"{PYTORCH}{build}/torch/"
    start = f"torch-{version}+{build}-"
    try:
        with urllib.request.urlopen(page_address, timeout=SECONDS) as page:
            links = _LINK.findall(page.read().decode("utf-8", "replace"))
    except (urllib.error.URLError, TimeoutError) as error:
        print(f"{page_address} cannot be reached ({error}); {build} has the files at hand only.", file=sys.stderr)
        files = [file for file in at_hand if file.name.startswith(start)]
        return [_wheel(f"{PYTORCH}{build}/{quote(file.name)}", file.stat().st_size, sha256(file)) for file in files]
    found = [(urljoin(page_address, link), digest) for link, digest in links if _file_name(link).startswith(start)]
    ours = [each for each in found if any(map(_is_ours, parse_wheel_filename(_file_name(each[0]))[3]))]
    return [_wheel(address, _length(address), digest) for address, digest in ours]


def _length(address: str) -> int:
    with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=SECONDS) as answer:
        return int(answer.headers["Content-Length"])


def _wheel(address: str, size: int, digest: str) -> Wheel:
    return {"url": address, "size": size, "sha256": digest}


def _file_name(address: str) -> str:
    return unquote(address.rpartition("/")[2])


def as_toml(packages: Iterable[Mapping[str, Any]]) -> str:
    """Write the lock file."""
    lines = [
        "# Made by `python -m release.training_lock`; the format is that of pylock.toml.",
        'lock-version = "1.0"',
        'created-by = "phidelity"',
        'requires-python = ">=3.11"',
        f'dependency-groups = ["{CUDA}"]',
        "default-groups = []",
    ]
    for package in packages:
        lines += _package_lines(package)
    lines += ["", "[tool.phidelity]", f"imports = [{', '.join(map(_quoted, IMPORTS))}]"]
    return "\n".join(lines) + "\n"


def _package_lines(package: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "[[packages]]", f"name = {_quoted(package['name'])}", f"version = {_quoted(package['version'])}")
    if "marker" in package:
        yield f"marker = {_quoted(package['marker'])}"
    yield "wheels = ["
    for wheel in package["wheels"]:
        hashes = f"{{ sha256 = {_quoted(wheel['sha256'])} }}"
        place = next(key for key in ("url", "path") if key in wheel)
        yield f"  {{ {place} = {_quoted(wheel[place])}, size = {wheel['size']}, hashes = {hashes} }},"
    yield "]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
