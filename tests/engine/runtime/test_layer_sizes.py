"""Test how much memory layers are said to need."""

import dataclasses

import pytest

from converter.convert import convert
from converter.gguf_file import read_header
from engine.runtime.layer_sizes import LayerSizes
from tests.helpers.checkpoints import make_phimoe


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moe")
    return convert(make_phimoe(folder / "checkpoint"), folder / "moe.gguf", outtype="f16").path


def tensor_bytes(header, *beginnings):
    return sum(tensor.nbytes for name, tensor in header.tensors.items() if name.startswith(beginnings))


def test_weights_are_those_of_the_file(tiny, mixture):
    for path in (tiny[1], mixture):
        header = read_header(path)
        sizes = LayerSizes.of(header)
        assert sizes.layers == (tensor_bytes(header, "blk.0."), tensor_bytes(header, "blk.1."))
        assert sizes.output == header.tensors["output.weight"].nbytes
        assert sizes.every == 3
        assert [sizes.weights(count) - sizes.weights(count - 1) for count in (1, 2, 3)] == [
            sizes.output, sizes.layers[1], sizes.layers[0],
        ]  # fmt: skip
        assert sizes.weights(0) == sizes.needed(0, 4096, 512) == 0


def test_a_model_whose_output_is_its_embedding_needs_a_copy(starter):
    header = read_header(starter)
    assert "output.weight" not in header.tensors
    assert LayerSizes.of(header).output == header.tensors["token_embd.weight"].nbytes


def test_keys_and_values_are_those_that_llama_cpp_allocates(load_session, checkpoints):
    for name, variant, outtype_bytes in (("tiny", "mini", 4), ("grouped", "medium", 4)):
        path = checkpoints(name, variant)[1]
        model = load_session(path, gpu_layers=0).opened.model
        sizes = LayerSizes.of(read_header(path))
        assert sum(sizes.cache_per_token) == model.cache_bytes_per_token
        assert len(set(sizes.cache_per_token)) == 1
        assert sizes.cache_per_token[0] % outtype_bytes == 0


def test_what_is_needed_grows_with_layers_conversation_and_batch(tiny):
    sizes = LayerSizes.of(read_header(tiny[1]))
    assert sizes.needed(3, 4096, 512) > sizes.needed(3, 1024, 512) > sizes.needed(3, 1024, 64)
    assert sizes.needed(2, 1024, 512) > sizes.needed(1, 1024, 512) > 0
    # With all layers on the GPU nothing is copied there any more.
    whole = dataclasses.replace(sizes, largest=0)
    assert sizes.needed(3, 1024, 512) == whole.needed(3, 1024, 512)
    assert sizes.needed(2, 1024, 512) == whole.needed(2, 1024, 512) + sizes.largest
