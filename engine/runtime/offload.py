"""Decide how many layers a GPU takes, and say where the model computes and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.protocol import Device

# Left free for keys and values, buffers, and what else shows on the screen.
_RESERVE_SHARE = 0.2
_RESERVE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Offload:
    """Hold the number of layers on GPUs and one phrase for the user."""

    layers: int
    runs_on: str


def choose_offload(asked: int, *, supported: bool, devices: Sequence[Device], layers: int, size_bytes: int) -> Offload:
    """Choose the layers (`layers` and the output count as `layers + 1`); `asked` -1 means as many as fit."""
    gpus = [device for device in devices if device.kind == "gpu"]
    if not supported:
        return Offload(0, "CPU (this build has no GPU support)")
    if not gpus:
        return Offload(0, "CPU (no GPU was found)")
    if asked == 0:
        return Offload(0, "CPU (GPU layers are set to 0)")
    every = layers + 1
    names = ", ".join(device.name for device in gpus)
    if asked < 0:
        free = sum(max(0.0, device.memory_free * (1 - _RESERVE_SHARE) - _RESERVE_BYTES) for device in gpus)
        asked = int(free / max(1.0, size_bytes / every))
    chosen = min(asked, every)
    if chosen == 0:
        return Offload(0, f"CPU ({names}: not enough free memory)")
    return Offload(chosen, names if chosen == every else f"{names} ({chosen} of {every} layers) and CPU")
