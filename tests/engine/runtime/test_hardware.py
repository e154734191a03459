"""Test the choice of threads, and what is known of this machine."""

import pytest

from engine.runtime.hardware import choose_threads, find_devices, free_memory, physical_cores


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
