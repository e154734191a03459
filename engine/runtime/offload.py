"""Decide how many layers a GPU takes, and say where the model computes and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.runtime.hardware import Gpu
from engine.runtime.layer_sizes import LayerSizes

# Left free for the driver's own needs and for what else shows on the screen.
_RESERVE_SHARE = 0.05
_RESERVE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Offload:
    """Hold what a model runs on.

    Attributes:
        layers: how many layers are on GPUs; the output counts as one.
        runs_on: the names of what computes.
        reason: one phrase for the user that says why there.
        gpus: those that hold layers.
    """

    layers: int
    runs_on: str
    reason: str = ""
    gpus: tuple[Gpu, ...] = ()


PROCESSOR = Offload(0, "CPU")


@dataclass(frozen=True, slots=True)
class Demand:
    """Say what a load needs of GPUs.

    Attributes:
        sizes: the model's layers.
        cells: the longest conversation that is wished, in tokens.
        batch: how many tokens of a prompt are computed at once.
        beside: bytes that go to the GPU before any layer: the tower of a vision model.
    """

    sizes: LayerSizes
    cells: int
    batch: int
    beside: int = 0


def on_processor(reason: str) -> Offload:
    """Give the choice of the processor alone."""
    return Offload(0, "CPU", reason)


def choose_offload(asked: int, gpus: Sequence[Gpu], demand: Demand, *, supported: bool = True) -> Offload:
    """Choose the layers; `asked` -1 means as many as fit, and no request takes more than there are."""
    if not supported:
        return on_processor("this build has no GPU support")
    if asked == 0:
        return on_processor("GPU layers are set to 0")
    if not gpus:
        return on_processor("no GPU was found")
    every = demand.sizes.every
    fitting = _fitting(gpus, demand)
    layers = min(fitting if asked < 0 else asked, every)
    if layers <= 0:
        return on_processor(f"no layer fits into {_free_words(gpus)}")
    return with_layers(layers, gpus, demand, "fit into" if layers <= fitting else "were asked for, with")


def with_layers(layers: int, gpus: Sequence[Gpu], demand: Demand, why: str) -> Offload:
    """Describe `layers` layers on GPUs; `why` stands between their number and the free memory."""
    every = demand.sizes.every
    names = ", ".join(gpu.device.name for gpu in gpus)
    number = f"all {every} layers" if layers == every else f"{layers} of {every} layers"
    runs_on = names if layers == every else f"{names} and CPU"
    return Offload(layers, runs_on, f"{number} {why} {_free_words(gpus)}", tuple(gpus))


def fewer_layers(offload: Offload, demand: Demand) -> Offload:
    """Give the next choice after one that did not fit in truth: half of the layers, and in the end none."""
    layers = offload.layers // 2
    if layers * 4 < demand.sizes.every:
        return on_processor("the GPU has too little memory")
    return with_layers(layers, offload.gpus, demand, "are as many as could be loaded, with")


def _fitting(gpus: Sequence[Gpu], demand: Demand) -> int:
    """Count the layers that fit into the free memory of all GPUs, each of which needs buffers of its own."""
    free = sum(max(0.0, gpu.device.memory_free * (1 - _RESERVE_SHARE) - _RESERVE_BYTES) for gpu in gpus)
    free -= demand.beside + (len(gpus) - 1) * demand.sizes.buffers(demand.cells, demand.batch)
    every = demand.sizes.every
    return next(
        (n for n in range(every, 0, -1) if demand.sizes.needed(n, demand.cells, demand.batch) <= free),
        0,
    )


def _free_words(gpus: Sequence[Gpu]) -> str:
    return f"{sum(gpu.device.memory_free for gpu in gpus) / 1e9:.1f} GB of free memory"
