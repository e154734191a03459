"""Start workers that compute on Vulkan: on Mesa's software device where there is one, else on what this machine has.

The build under test is that of this environment, or the one that `PHIDELITY_TEST_ENGINE` names: a Python with another
llama.cpp, or the engine's program of a package.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.client import EngineClient
from engine.launch import python_command
from engine.protocol import Ping, Ready
from engine.runtime.backends import has_gpu_code

ENGINE_VARIABLE = "PHIDELITY_TEST_ENGINE"
_SOFTWARE = "lvp_icd*.json"
_DRIVER_FOLDERS = ("/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d")


def vulkan_settings(*, half_precision: bool = True) -> dict[str, str]:
    """Give the environment in which ggml computes on the software device, which it would leave alone by itself."""
    settings = {} if half_precision else {"GGML_VK_DISABLE_F16": "1"}
    found = [path for folder in _DRIVER_FOLDERS for path in sorted(Path(folder).glob(_SOFTWARE))]
    if found:
        names = os.pathsep.join(map(str, found))
        settings |= {"VK_DRIVER_FILES": names, "VK_ICD_FILENAMES": names, "GGML_VK_VISIBLE_DEVICES": "0"}
    return settings


def why_not() -> str | None:
    """Say why nothing can be computed on Vulkan here, as far as that is known without a worker."""
    if not os.environ.get(ENGINE_VARIABLE) and not has_gpu_code():
        return "this build of llama.cpp has no code for GPUs"
    return None


def engine_command() -> list[str]:
    """Give the command of a worker of the build under test."""
    program = os.environ.get(ENGINE_VARIABLE)
    return [program, "-m", "engine.worker"] if program else python_command("engine.worker")


@contextmanager
def vulkan_environment(*, half_precision: bool = True) -> Iterator[None]:
    """Let processes that are started meanwhile find the software device."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in vulkan_settings(half_precision=half_precision).items():
            patch.setenv(name, value)
        yield


@contextmanager
def vulkan_worker(*, half_precision: bool = True) -> Iterator[tuple[EngineClient, Ready]]:
    """Start a worker and give what it says of itself."""
    with vulkan_environment(half_precision=half_precision):
        client = EngineClient(engine_command())
    try:
        client.call(Ping())
        assert client.ready is not None
        yield client, client.ready
    finally:
        client.close()
