"""Tell one state of the graphics drivers from another without touching them, and keep them out of a process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

_NVIDIA_VERSION = Path("/proc/driver/nvidia/version")
# What the Vulkan loader lists as places of drivers on Linux.
_DRIVER_FOLDERS = ("/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d")
_DRIVER_VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES")
# Where drivers are looked for; nothing is found there then.
_NO_VULKAN = {"VK_DRIVER_FILES": os.devnull, "VK_ICD_FILENAMES": os.devnull, "VK_LOADER_LAYERS_DISABLE": "~all~"}
_NO_OTHERS = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"}
_DISPLAY_CLASS = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"


def driver_fingerprint() -> str:
    """Give a text that changes when a driver, or the system that carries it, is updated."""
    facts = [platform.system(), platform.release(), platform.mac_ver()[0], *sorted(_driver_facts())]
    return hashlib.sha256("\n".join(facts).encode("utf-8", "replace")).hexdigest()[:32]


def leave_gpus_alone() -> None:
    """Keep drivers of GPUs out of this process; to be called before anything of llama.cpp or PyTorch is."""
    os.environ.update({**_NO_VULKAN, **_NO_OTHERS})


def leave_vulkan_alone() -> None:
    """Keep Vulkan out of this process, which llama.cpp would look for even where all is computed on the processor."""
    os.environ.update(_NO_VULKAN)


def _driver_facts() -> Iterator[str]:
    if sys.platform == "win32":
        yield from _windows_drivers()
        return
    with contextlib.suppress(OSError):
        yield _NVIDIA_VERSION.read_text("utf-8", "replace")
    for path in _manifests():
        with contextlib.suppress(OSError):
            facts = path.stat()
            yield f"{path} {facts.st_size} {facts.st_mtime_ns}"


def _manifests() -> Iterator[Path]:
    for folder in _DRIVER_FOLDERS:
        yield from Path(folder).glob("*.json")
    for variable in _DRIVER_VARIABLES:
        yield from (Path(name) for name in os.environ.get(variable, "").split(os.pathsep) if name)


def _windows_drivers() -> Iterator[str]:
    """List the display drivers that are installed, with their versions."""
    if sys.platform != "win32":
        return
    import winreg

    with contextlib.suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _DISPLAY_CLASS) as drivers:
        for index in range(winreg.QueryInfoKey(drivers)[0]):
            # The numbered keys are devices; others, such as Properties, cannot be opened by everyone.
            with contextlib.suppress(OSError), winreg.OpenKey(drivers, winreg.EnumKey(drivers, index)) as driver:
                names = ("DriverDesc", "DriverVersion")
                yield " ".join(str(winreg.QueryValueEx(driver, name)[0]) for name in names)
