"""Test how many layers go to a GPU, and what the user reads about it."""

import pytest

from engine.runtime.layer_sizes import LayerSizes
from engine.runtime.offload import Demand, choose_offload, fewer_layers
from tests.helpers.gpus import pretended_gpu

MB = 1 << 20
# 32 layers of 60 MB, an output of 80 MB, 12 kB of keys and values in a layer for a token, as phi-3-mini has in Q4_K_M.
SIZES = LayerSizes((60 * MB,) * 32, 80 * MB, (12288,) * 32, 4 * (32064 + 4 * 3072 + 3 * 8192), 4, 80 * MB)
DEMAND = Demand(SIZES, 4096, 512)
BIG = pretended_gpu("Big GPU", 20 << 30)
SMALL = pretended_gpu("Small GPU", 2 << 30)


def choose(*gpus, asked=-1, demand=DEMAND, supported=True):
    return choose_offload(asked, gpus, demand, supported=supported)


@pytest.mark.parametrize(
    ("offload", "layers", "runs_on", "reason"),
    [
        (choose(BIG, supported=False), 0, "CPU", "this build has no GPU support"),
        (choose(), 0, "CPU", "no GPU was found"),
        (choose(BIG, asked=0), 0, "CPU", "GPU layers are set to 0"),
        (choose(BIG), 33, "Big GPU", "all 33 layers fit into 21.5 GB of free memory"),
        (choose(BIG, asked=99), 33, "Big GPU", "all 33 layers fit into 21.5 GB of free memory"),
        (choose(BIG, asked=5), 5, "Big GPU and CPU", "5 of 33 layers fit into 21.5 GB of free memory"),
        (choose(SMALL), 13, "Small GPU and CPU", "13 of 33 layers fit into 2.1 GB of free memory"),
        (choose(SMALL, asked=20), 20, "Small GPU and CPU",
         "20 of 33 layers were asked for, with 2.1 GB of free memory"),
        (choose(pretended_gpu("Full GPU", 0)), 0, "CPU", "no layer fits into 0.0 GB of free memory"),
    ],
)  # fmt: skip
def test_layers_go_to_the_gpu_with_a_reason(offload, layers, runs_on, reason):
    assert (offload.layers, offload.runs_on, offload.reason) == (layers, runs_on, reason)


def test_as_many_layers_as_fit_with_what_they_need_beside_the_weights():
    chosen = choose(SMALL).layers
    free = SMALL.device.memory_free * 0.95 - 256 * MB
    assert SIZES.needed(chosen, 4096, 512) <= free < SIZES.needed(chosen + 1, 4096, 512)


def test_long_conversations_and_towers_take_the_place_of_layers():
    usual = choose(SMALL).layers
    assert choose(SMALL, demand=Demand(SIZES, 16384, 512)).layers < usual
    assert choose(SMALL, demand=Demand(SIZES, 4096, 512, beside=600 * MB)).layers < usual


def test_two_gpus_take_more_than_one():
    both = choose(SMALL, pretended_gpu("Other GPU", 2 << 30))
    assert choose(SMALL).layers < both.layers < 33
    assert both.runs_on == "Small GPU, Other GPU and CPU"
    assert len(both.gpus) == 2


def test_what_did_not_fit_is_halved_until_it_is_not_worth_it():
    offload, tried = choose(BIG), []
    while offload.layers:
        offload = fewer_layers(offload, DEMAND)
        tried.append(offload.layers)
    assert tried == [16, 0]
    assert (offload.runs_on, offload.reason) == ("CPU", "the GPU has too little memory")
