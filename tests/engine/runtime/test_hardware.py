"""Test the choice of threads and of layers on a GPU."""

import pytest

from engine.protocol import Device
from engine.runtime.hardware import choose_threads, find_devices, free_memory, physical_cores
from engine.runtime.offload import choose_offload

CPU = Device("CPU", "cpu", 16 << 30, 8 << 30)
GPU = Device("Big GPU", "gpu", 24 << 30, 20 << 30)
SMALL_GPU = Device("Small GPU", "gpu", 4 << 30, 2 << 30)
MODEL = {"layers": 32, "size_bytes": 2 << 30}


@pytest.mark.parametrize(
    ("asked", "cores", "expected"),
    [((0, 0), 2, (1, 2)), ((0, 0), 1, (1, 1)), ((0, 0), 8, (7, 8)), ((3, 0), 8, (3, 8)), ((0, 5), 8, (7, 5))],
)
def test_one_core_is_left_for_others_unless_asked_otherwise(asked, cores, expected):
    assert choose_threads(*asked, cores) == expected


def test_this_machine_has_a_processor_and_memory():
    assert physical_cores() >= 1
    cpu = find_devices()[0]
    assert cpu.kind == "cpu"
    assert 0 < free_memory() <= cpu.memory_total


@pytest.mark.parametrize(
    ("asked", "supported", "devices", "layers", "words"),
    [
        (-1, False, [CPU, GPU], 0, "no GPU support"),
        (-1, True, [CPU], 0, "no GPU was found"),
        (0, True, [CPU, GPU], 0, "set to 0"),
        (-1, True, [CPU, GPU], 33, "Big GPU"),
        (99, True, [CPU, GPU], 33, "Big GPU"),
        (5, True, [CPU, GPU], 5, "5 of 33 layers"),
        (-1, True, [CPU, SMALL_GPU], 18, "18 of 33 layers"),
        (-1, True, [CPU, Device("Full GPU", "gpu", 4 << 30, 0)], 0, "not enough free memory"),
    ],
)
def test_layers_go_to_the_gpu_with_a_reason(asked, supported, devices, layers, words):
    offload = choose_offload(asked, supported=supported, devices=devices, **MODEL)
    assert offload.layers == layers
    assert words in offload.runs_on
