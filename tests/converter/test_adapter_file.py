"""Test that a file of an adapter is told apart from a model, and compared with one before native code sees it."""

import re
from dataclasses import replace

import pytest

from converter.adapter_file import base_name, is_adapter, made_for, made_for_another, problem_with, rank
from converter.ggml_types import TENSOR_TYPES
from converter.gguf_file import read_header
from converter.gguf_writer import float32, string, uint32
from converter.lora import convert_lora
from tests.helpers.adapters import make_adapter


@pytest.fixture(scope="module")
def adapter(mini, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    return read_header(convert_lora(make_adapter(folder / "lora", mini), mini, folder / "lora.gguf").path)


@pytest.fixture(scope="module")
def model(mini_gguf):
    return read_header(mini_gguf)


def _with(header, **metadata):
    changed = {key.replace("__", "."): value for key, value in metadata.items()}
    return replace(header, metadata=header.metadata | changed)


def test_an_adapter_fits_the_model_it_was_trained_on(adapter, model):
    assert is_adapter(adapter) and not is_adapter(model)
    assert problem_with(adapter, model) is None
    assert made_for(adapter, model)
    assert (base_name(adapter), rank(adapter)) == ("mini", 4)


def test_other_weights_are_told_by_fingerprint_and_name(adapter, model):
    other = _with(model, phidelity__source__fingerprint=string("other"))
    assert not made_for(adapter, other)
    assert not made_for_another(adapter, other)  # a copy in another precision has the same name
    assert made_for_another(adapter, _with(other, phidelity__source__name=string("tuned")))
    assert not made_for_another(adapter, model)
    assert problem_with(adapter, other) is None


def test_without_fingerprints_the_shapes_decide(adapter, model):
    bare = replace(model, metadata={"general.architecture": string("phi3")})
    assert problem_with(adapter, bare) is None
    assert not made_for(adapter, bare) and not made_for_another(adapter, bare)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"general__type": string("model")}, "no LoRA adapter"),
        ({"adapter__type": string("control_vector")}, "no LoRA adapter"),
        ({"general__architecture": string("granite_swa")}, "architecture 'granite_swa', not 'phi3'"),
        ({"adapter__lora__alpha": uint32(8)}, "strength is damaged"),
    ],
)
def test_metadata_of_another_kind_is_named(adapter, model, changes, reason):
    assert re.search(reason, problem_with(_with(adapter, **changes), model))


def test_tensors_that_llama_cpp_would_abort_at_are_named(adapter, model):
    def problem(name, **changes):
        tensors = dict(adapter.tensors)
        tensors[name] = replace(tensors[name], **changes)
        return problem_with(replace(adapter, tensors=tensors), model)

    a, b = (f"blk.0.ffn_down.weight.lora_{part}" for part in "ab")
    assert "has another shape" in problem(a, shape=(4, 128))
    assert "has another shape" in problem(a, shape=(3, 256))
    assert "has another shape" in problem(b, shape=(2, 128, 4))
    assert "is damaged" in problem(b, type=TENSOR_TYPES["q4_k"])
    without = {name: info for name, info in adapter.tensors.items() if name != a}
    assert "is damaged" in problem_with(replace(adapter, tensors=without), model)
    assert "is empty" in problem_with(replace(adapter, tensors={}), model)
    layers = {name: info for name, info in model.tensors.items() if not name.startswith("blk.1.")}
    assert "the model has no blk.1." in problem_with(adapter, replace(model, tensors=layers))


def test_a_missing_strength_means_one(adapter, model):
    metadata = {key: value for key, value in adapter.metadata.items() if key != "adapter.lora.alpha"}
    assert problem_with(replace(adapter, metadata=metadata), model) is None
    assert problem_with(_with(adapter, adapter__lora__alpha=float32(1)), model) is None
