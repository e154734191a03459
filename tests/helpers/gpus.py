"""Let a build without a GPU believe that there is one: what is put on it is computed on the processor."""

from engine.protocol import Device
from engine.runtime import gpus
from engine.runtime.hardware import Gpu


def pretended_gpu(name="Pretended GPU", free=8 << 30, *, is_integrated=False):
    """Give a GPU whose handle is none, so that llama.cpp is told of no device."""
    return Gpu(Device(name, "gpu", 8 << 30, free), 0, is_integrated)


def pretend_gpu(monkeypatch, *found):
    """Let loads find these GPUs (none given: one with plenty of memory)."""
    monkeypatch.setattr(gpus, "find_gpus", lambda: found or (pretended_gpu(),))
