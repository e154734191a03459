"""Know the processors: how many threads to use, what can be offloaded, how much memory is free."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from pathlib import Path
from typing import Any

import psutil

from engine.protocol import Device
from engine.runtime.backends import ggml_library, has_gpu_code, load_backends

_KIND_GPU = (1, 2)


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


def supports_offload() -> bool:
    """Tell whether this build can compute on a GPU."""
    return has_gpu_code()


def find_devices() -> tuple[Device, ...]:
    """List the processor and the GPUs that this build can use, with their memory in bytes."""
    load_backends()
    memory = psutil.virtual_memory()
    base = _load("ggml-base")
    registry = _load("ggml")
    devices = []
    for index in range(registry.ggml_backend_dev_count()):
        handle = registry.ggml_backend_dev_get(index)
        if base.ggml_backend_dev_type(handle) not in _KIND_GPU:
            continue
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        base.ggml_backend_dev_memory(handle, ctypes.byref(free), ctypes.byref(total))
        name = base.ggml_backend_dev_description(handle).decode("utf-8", "replace")
        devices.append(Device(name, "gpu", total.value, free.value))
    return (Device("CPU", "cpu", memory.total, memory.available), *devices)


def _load(name: str) -> Any:
    library = ggml_library(name)
    if name == "ggml":
        library.ggml_backend_dev_count.restype = ctypes.c_size_t
        library.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
        library.ggml_backend_dev_get.restype = ctypes.c_void_p
    else:
        library.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
        library.ggml_backend_dev_description.argtypes = [ctypes.c_void_p]
        library.ggml_backend_dev_description.restype = ctypes.c_char_p
        pointer = ctypes.POINTER(ctypes.c_size_t)
        library.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, pointer, pointer]
    return library
