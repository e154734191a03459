"""Say how llama.cpp can be compiled: for this processor, for every processor, and for each kind of GPU."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

LAYER_SETTINGS = Path(__file__).resolve().parent / "release" / "linux" / "vulkan_layer_settings.h"
INCLUDES = ("/usr/include", "/usr/local/include", "/opt/homebrew/include")


class UnknownBuild(Exception):
    """Say in a line that a build does not exist, or not on this system."""


@dataclass(frozen=True)
class Tool:
    """Be one thing that a build needs: a command, or a header, and the Debian package that has it."""

    debian: str
    command: str = ""
    header: str = ""

    def is_here(self) -> bool:
        """Tell whether this machine has it."""
        if self.command:
            return shutil.which(self.command) is not None
        return any((Path(folder) / self.header).is_file() for folder in INCLUDES)


@dataclass(frozen=True)
class LlamaBuild:
    """Be one way to compile llama.cpp.

    `tools` come from Debian. A `toolkit` does not: its command must be found, or one of `places`; `remedy` says how
    to get it.
    """

    name: str
    flags: tuple[str, ...] = ()
    minutes: int = 5
    any_processor: bool = False
    systems: tuple[str, ...] = ("linux", "darwin", "win32")
    tools: tuple[Tool, ...] = ()
    toolkit: str = ""
    places: tuple[str, ...] = ()
    remedy: str = ""

    def cmake_arguments(self) -> str:
        """Give the value of CMAKE_ARGS: the user's own, and those of this build."""
        return " ".join([*filter(None, [os.environ.get("CMAKE_ARGS", "")]), *self.flags])

    def variables(self) -> dict[str, str]:
        """Give the environment variables to compile with, beside those that are set."""
        variables = {"CMAKE_ARGS": self.cmake_arguments()}
        if self.tools and sys.platform == "linux" and not sdk_is_here() and headers_are_old():
            flags = [*filter(None, [os.environ.get("CXXFLAGS", "")]), f'-include "{LAYER_SETTINGS}"']
            variables["CXXFLAGS"] = " ".join(flags)
        return variables

    def key(self) -> str:
        """Name the machine, Python and flags that the result is made for; other keys mean another result."""
        processor = "any" if self.any_processor else processor_name()
        return digest(
            repr([sys.version_info[:2], sys.platform, platform.machine(), processor, self.cmake_arguments()]).encode()
        )

    def missing_tools(self) -> list[str]:
        """List the Debian packages that this build needs and the machine lacks."""
        if sys.platform != "linux" or sdk_is_here():
            return []
        return [tool.debian for tool in self.tools if not tool.is_here()]

    def missing_toolkit(self) -> str:
        """Say in a sentence what has to be installed by hand, or nothing."""
        if self.tools and sys.platform != "linux" and not sdk_is_here():
            return self.remedy
        if not self.toolkit or shutil.which(self.toolkit) or any(Path(place).exists() for place in self.places):
            return ""
        return self.remedy


VULKAN_TOOLS = (
    Tool("glslc", command="glslc"),
    Tool("libvulkan-dev", header="vulkan/vulkan.hpp"),
    Tool("spirv-headers", header="spirv/unified1/spirv.hpp"),
)
NATIVE = LlamaBuild("native")
PORTABLE = LlamaBuild(
    "portable",
    ("-DGGML_NATIVE=OFF", "-DGGML_BACKEND_DL=ON", "-DGGML_CPU_ALL_VARIANTS=ON"),
    minutes=40,
    any_processor=True,
)
PORTABLE_VULKAN = LlamaBuild(
    "portable with Vulkan", (*PORTABLE.flags, "-DGGML_VULKAN=ON"), minutes=90, any_processor=True, tools=VULKAN_TOOLS
)
GPU_BUILDS = {
    "vulkan": LlamaBuild(
        "vulkan",
        ("-DGGML_VULKAN=ON",),
        minutes=60,
        tools=VULKAN_TOOLS,
        remedy="GPU=vulkan needs the Vulkan SDK. Install it from https://vulkan.lunarg.com/ and start again.",
    ),
    "cuda": LlamaBuild(
        "cuda",
        ("-DGGML_CUDA=ON",),
        minutes=60,
        systems=("linux", "win32"),
        toolkit="nvcc",
        places=("/usr/local/cuda/bin/nvcc", os.environ.get("CUDA_PATH", "/usr/local/cuda") + "/bin"),
        remedy="GPU=cuda needs NVIDIA's CUDA toolkit (nvcc). Install it from "
        "https://developer.nvidia.com/cuda-downloads and start again, or use GPU=vulkan, which needs a driver only.",
    ),
    "metal": LlamaBuild("metal", ("-DGGML_METAL=ON",), systems=("darwin",)),
    "rocm": LlamaBuild(
        "rocm",
        ("-DGGML_HIP=ON",),
        minutes=60,
        systems=("linux", "win32"),
        toolkit="hipcc",
        places=("/opt/rocm/bin/hipcc",),
        remedy="GPU=rocm needs AMD's ROCm 6.1 or newer (hipcc). Install it from "
        "https://rocm.docs.amd.com/ and start again, or use GPU=vulkan, which needs a driver only.",
    ),
}


def gpu_build(name: str) -> LlamaBuild:
    """Give the build that GPU=`name` asks for, the native one for an empty name; raises UnknownBuild."""
    if not name:
        return NATIVE
    build = GPU_BUILDS.get(name.lower())
    if build is None:
        *first, last = GPU_BUILDS
        raise UnknownBuild(f"GPU={name} is not known; it can be {', '.join(first)} or {last}.")
    if sys.platform not in build.systems:
        raise UnknownBuild(f"GPU={build.name} does not exist on this system; GPU=vulkan may.")
    return build


def portable_build(may_install: bool) -> LlamaBuild:
    """Give the build that runs on every processor, with Vulkan where its tools are here or can be installed."""
    if sys.platform == "darwin":
        return PORTABLE  # Metal is in it already
    vulkan = PORTABLE_VULKAN.missing_tools() or (sys.platform != "linux" and not sdk_is_here())
    return PORTABLE if vulkan and not (may_install and sys.platform == "linux") else PORTABLE_VULKAN


def headers_are_old() -> bool:
    """Tell whether Vulkan's headers lack what llama.cpp takes of VK_EXT_layer_settings, as Debian 12's do."""
    for folder in INCLUDES:
        header = Path(folder) / "vulkan" / "vulkan_core.h"
        if header.is_file():
            return "VK_EXT_layer_settings" not in header.read_text("utf-8", "replace")
    return False


def sdk_is_here() -> bool:
    """Tell whether the Vulkan SDK says where it is."""
    return bool(os.environ.get("VULKAN_SDK"))


def processor_name() -> str:
    """Name what this processor can do."""
    try:
        flags = re.search(r"^flags\s*:.*$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        flags = None
    return flags.group() if flags else platform.processor()


def digest(data: bytes) -> str:
    """Shorten data to a name."""
    return hashlib.sha256(data).hexdigest()[:16]
