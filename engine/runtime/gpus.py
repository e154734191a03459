"""Use GPUs in this process, unless one has died of it before."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from engine.gpu_drivers import leave_gpus_alone
from engine.gpu_record import GpuRecord
from engine.protocol import Device, Load, LoadNote
from engine.runtime.backends import has_gpu_code
from engine.runtime.hardware import find_devices, find_gpus
from engine.runtime.offload import Demand, Offload, choose_offload, on_processor

_CRASHED = "The driver of the graphics card crashed, so models run on the processor."
_NEXT_START = "The graphics card is looked for again when Phidelity starts the next time."
_FAILED = "The graphics card failed, so the model runs on the processor."


class Gpus:
    """Look for GPUs and say how a load uses them; `record` (None: nothing is remembered) lasts between processes."""

    def __init__(self, record: GpuRecord | None = None) -> None:
        self._record = record
        self._left_alone = False

    def look(self) -> tuple[Device, ...]:
        """List what models can compute on; GPUs are left alone in this process where looking for them was fatal."""
        if self._record is None or not has_gpu_code():
            return find_devices()
        if self._record.crashed():
            self._left_alone = True
            leave_gpus_alone()
            return find_devices()
        with self._record.attempt():
            return find_devices()

    def choose(self, request: Load, demand: Demand) -> tuple[Offload, LoadNote | None]:
        """Choose the layers for a load, and what the user should know of the choice."""
        if self._record is not None and request.gpu == "retry":
            self._record.forget()
        if self._left_alone and request.gpu_layers:
            sentence = _NEXT_START if request.gpu == "retry" else _CRASHED
            return on_processor("the graphics driver crashed"), LoadNote("gpu_set_aside", sentence)
        gpus = () if self._left_alone else find_gpus()
        offload = choose_offload(request.gpu_layers, gpus, demand, supported=bool(gpus) or has_gpu_code())
        if not offload.layers:
            return offload, None
        if request.gpu == "avoid":
            return on_processor("the graphics card failed"), LoadNote("gpu_set_aside", _FAILED)
        if self._record is not None and self._record.crashed([gpu.device.name for gpu in offload.gpus]):
            return on_processor("the graphics driver crashed"), LoadNote("gpu_set_aside", _CRASHED)
        return offload, None

    def attempt(self, offload: Offload) -> AbstractContextManager[None]:
        """Mark this process as using GPUs while the block runs, in case that it does not survive it."""
        if self._record is None or not offload.layers:
            return nullcontext()
        return self._record.attempt([gpu.device.name for gpu in offload.gpus])


def cannot_take(cause: str) -> LoadNote:
    """Say that a load onto a GPU failed, and why."""
    sentence = f"The graphics card could not take the model, which runs on the processor. {cause}"
    return LoadNote("gpu_set_aside", sentence)
