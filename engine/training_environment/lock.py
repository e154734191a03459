"""Read which wheels training needs on this computer from the lock file, which release/training_lock.py makes."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.pylock import PackageWheel, Pylock, PylockSelectError, PylockValidationError

from engine.errors import EngineError

Build = Literal["cpu", "cuda"]
BUILDS: tuple[Build, ...] = ("cpu", "cuda")
LOCK_NAME = "pylock.train.toml"
HOST_NAME = "wheel-host.txt"
TOOL = "phidelity"
UNPACKED_TIMES = {"cpu": 3.6, "cuda": 2.2}
"""How much larger the packages are than their wheels: measured on Linux for `cpu` (3.5), estimated for `cuda`."""


@dataclass(frozen=True)
class Wheel:
    """Be one file that is downloaded, of one package."""

    package: str
    version: str
    file_name: str
    address: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Selection:
    """Hold what one build takes on this computer.

    Attributes:
        build: `cpu` or `cuda`.
        wheels: the files, by package.
        imports: modules that must be importable in the end.
        key: changes when anything of this changes, or the Python that it is for.
    """

    build: Build
    wheels: tuple[Wheel, ...]
    imports: tuple[str, ...]
    key: str

    @property
    def download_bytes(self) -> int:
        """Return the size of all files."""
        return sum(wheel.size_bytes for wheel in self.wheels)

    @property
    def unpacked_bytes(self) -> int:
        """Estimate the size of the packages on disk."""
        return round(self.download_bytes * UNPACKED_TIMES[self.build])


def program_lock() -> Path:
    """Give the lock file that comes with the program (the bundle's when frozen)."""
    return Path(getattr(sys, "_MEIPASS", Path(__file__).parents[2])) / "requirements" / LOCK_NAME


def wheel_host() -> str:
    """Give the host that pip gets wheels from: the bundle has it beside the lock file, the sources ask pip."""
    stated = program_lock().with_name(HOST_NAME)
    if stated.is_file():
        return stated.read_text("utf-8").strip()
    from pip._internal.models.index import PyPI  # an installed program has no pip

    return str(PyPI.file_storage_domain)


def suitable_build() -> Build:
    """Choose the build for this computer: with CUDA where NVIDIA's driver runs and the lock file has it (Linux)."""
    return "cuda" if sys.platform == "linux" and Path("/proc/driver/nvidia/version").exists() else "cpu"


def lock_key(lock: Path) -> str:
    """Name the contents of a lock file together with the Python and the system that packages are chosen for."""
    for_whom = f"{sys.implementation.cache_tag} {sysconfig.get_platform()}"
    return hashlib.sha256(lock.read_bytes() + for_whom.encode()).hexdigest()


def select(lock: Path, build: Build) -> Selection:
    """Choose the wheels for this computer. Raises EngineError `model_unsupported` where there are none."""
    groups = ["cuda"] if build == "cuda" else []
    try:
        pins = Pylock.from_dict(tomllib.loads(lock.read_text("utf-8")))
        wheels = tuple(_wheels(pins, groups))
    except PylockSelectError as error:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        message = f"Training's packages are not made for this computer ({sysconfig.get_platform()}, Python {version})."
        raise EngineError("model_unsupported", message, "Fine-tune on another computer.", str(error)) from error
    except (OSError, ValueError, PylockValidationError) as error:
        message = "The list of training's packages cannot be read."
        raise EngineError("internal", message, "Install Phidelity again.", str(error)) from error
    imports = ((pins.tool or {}).get(TOOL) or {}).get("imports", [])
    return Selection(build, wheels, tuple(imports), lock_key(lock))


def _wheels(pins: Pylock, groups: list[str]) -> Iterator[Wheel]:
    for package, source in pins.select(dependency_groups=groups):
        if not isinstance(source, PackageWheel) or source.size is None:
            raise PylockValidationError(f"{package.name} has no wheel with a size")
        address = source.url or f"https://{wheel_host()}/{source.path}"
        digest = source.hashes["sha256"]
        yield Wheel(package.name, str(package.version), source.filename, address, source.size, digest)
