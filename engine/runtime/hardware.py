"""Know the processors: how many threads to use, what can be offloaded, how much memory is free."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from engine.protocol import Device
from engine.runtime.backends import ggml_library, load_backends

_GPU = 1
_INTEGRATED_GPU = 2


def physical_cores() -> int:
    """Count the cores that this process may use."""
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return max(1, min(cores, allowed))


def processor_name() -> str:
    """Give the processor's name as its maker prints it, as far as the system tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def choose_threads(threads: int, batch_threads: int, cores: int) -> tuple[int, int]:
    """Give the threads for decoding and for reading a prompt; 0 is replaced by what measured best.

    Decoding is bound by memory: the last core adds little, and costs much as soon as another program needs it. Reading
    a prompt is bound by computation and uses every core.
    """
    return threads or max(1, cores - 1), batch_threads or cores


def free_memory() -> int:
    """Give the bytes of memory that can be taken without swapping."""
    return int(psutil.virtual_memory().available)


def find_devices() -> tuple[Device, ...]:
    """List the processor and the GPUs that a model can use, with their memory in bytes."""
    memory = psutil.virtual_memory()
    return (Device("CPU", "cpu", memory.total, memory.available), *(gpu.device for gpu in find_gpus()))


@dataclass(frozen=True, slots=True)
class Gpu:
    """Hold a GPU in the terms of the protocol, and ggml's pointer to it.

    `is_integrated`: it has no memory of its own, so that what it takes is missing to the processor.
    """

    device: Device
    handle: int
    is_integrated: bool


def find_gpus() -> tuple[Gpu, ...]:
    """List the GPUs that a model can use: those of their own memory, or, without such, those in the processor.

    A GPU that several backends offer is listed once, as the first one does.
    """
    load_backends()
    base, registry = _load("ggml-base"), _load("ggml")
    found: dict[bytes, Gpu] = {}
    for index in range(registry.ggml_backend_dev_count()):
        handle = registry.ggml_backend_dev_get(index)
        if base.ggml_backend_dev_type(handle) in (_GPU, _INTEGRATED_GPU):
            properties = _Properties()
            base.ggml_backend_dev_get_props(handle, ctypes.byref(properties))
            found.setdefault(properties.device_id or b"%d" % index, _gpu(handle, properties))
    own = tuple(gpu for gpu in found.values() if not gpu.is_integrated)
    return own or tuple(found.values())


class _Properties(ctypes.Structure):
    """Mirror `struct ggml_backend_dev_props`, with room for capabilities that later versions add."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("capabilities", ctypes.c_bool * 64),
    )


def _gpu(handle: int, properties: _Properties) -> Gpu:
    name = (properties.description or properties.name or b"GPU").decode("utf-8", "replace")
    free, is_integrated = properties.memory_free, properties.type == _INTEGRATED_GPU
    if is_integrated:
        free = min(free, free_memory())
    return Gpu(Device(name, "gpu", properties.memory_total, free), handle, is_integrated)


def _load(name: str) -> Any:
    library = ggml_library(name)
    if name == "ggml":
        library.ggml_backend_dev_count.restype = ctypes.c_size_t
        library.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
        library.ggml_backend_dev_get.restype = ctypes.c_void_p
    else:
        library.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
        library.ggml_backend_dev_get_props.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        library.ggml_backend_dev_get_props.restype = None
    return library
