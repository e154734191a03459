"""Test adapters of Phi-3-small, which transformers lacks, against the reference in PyTorch with merged weights."""

from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from converter.convert import convert
from converter.errors import ConversionError
from converter.gguf_file import read_header
from converter.lora import convert_lora
from converter.merged_checkpoint import write_merged
from engine.runtime.native_log import NativeLog
from engine.torch_runtime.phi3small import Cache, Phi3Small
from tests.helpers.adapters import write_adapter
from tests.helpers.fixtures import DATA, unpack_checkpoint
from tests.helpers.logits import relative_error
from tests.helpers.sessions import session_logits

LAYERS = 4
RANK = 4
# Which modules an adapter file can hold whatever it was trained to.
HELD = ("self_attn.dense", "mlp.down_proj")
# Which follow a LayerNorm, whose bias is a part of theirs in the file.
AFTER_NORM = {"self_attn.query_key_value": "input_layernorm", "mlp.up_proj": "post_attention_layernorm"}


@pytest.fixture(scope="module")
def ids():
    return np.load(DATA / "phi3small-tiny" / "ref" / "seq200.npz")["input_ids"].ravel()[:60].tolist()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    checkpoint = unpack_checkpoint("phi3small-tiny", folder)
    return checkpoint, convert(checkpoint, folder / "small.gguf", outtype="f32").path


@pytest.fixture(scope="module")
def weights(small):
    return {name: tensor.float().numpy() for name, tensor in load_file(small[0] / "model.safetensors").items()}


@pytest.fixture(scope="module")
def evaluate(ids):
    """Evaluate a model with adapters in the engine's runtime."""
    return partial(_evaluate, NativeLog(), ids)


def _factors(weights, modules, *, blind=False):
    """Give random factors; `blind` ones do not see the bias of the norm in front of the module."""
    generator = np.random.default_rng(1)
    tensors = {}
    for layer in range(LAYERS):
        for module in modules:
            name = f"model.layers.{layer}.{module}"
            rows, columns = weights[f"{name}.weight"].shape
            a, b = generator.normal(size=(RANK, columns)), generator.normal(size=(rows, RANK))
            if blind:
                bias = weights[f"model.layers.{layer}.{AFTER_NORM[module]}.bias"].astype(np.float64)
                a -= np.outer(a @ bias, bias) / (bias @ bias)
            tensors[f"{name}.lora_A.weight"] = (0.3 * a / columns**0.5).astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = (0.3 * b).astype(np.float32)
    return tensors


def _reference(checkpoint, ids):
    """Evaluate without the clamps, which the file cannot hold."""
    model = Phi3Small.load(checkpoint, torch.float32)
    object.__setattr__(model.config, "gegelu_limit", None)
    return model.evaluate(ids, Cache())[0].numpy()


@pytest.mark.parametrize(("modules", "blind"), [(HELD, False), (tuple(AFTER_NORM), True)])
def test_an_adapter_equals_the_reference_with_merged_weights(small, weights, evaluate, ids, tmp_path, modules, blind):
    checkpoint, gguf = small
    adapter = write_adapter(tmp_path / "adapter", _factors(weights, modules, blind=blind))
    converted = convert_lora(adapter, checkpoint, tmp_path / "adapter.gguf")
    merged = write_merged(checkpoint, adapter, tmp_path / "merged", outtype="f32").path
    reference = _reference(merged, ids)
    assert relative_error(evaluate(gguf, (converted.path, 1.0)), reference) < 1e-4
    assert relative_error(evaluate(gguf), reference) > 0.05
    assert read_header(converted.path).architecture == "granite_swa"


def test_merged_weights_equal_the_reference_everywhere(small, weights, evaluate, ids, tmp_path):
    checkpoint, _ = small
    adapter = write_adapter(tmp_path / "adapter", _factors(weights, (*HELD, *AFTER_NORM)))
    merged = write_merged(checkpoint, adapter, tmp_path / "merged", outtype="f32").path
    in_one_pass = convert(checkpoint, tmp_path / "merged.gguf", outtype="f32", adapter=adapter).path
    assert relative_error(evaluate(in_one_pass), _reference(merged, ids)) < 1e-4


@pytest.mark.parametrize("module", AFTER_NORM)
def test_a_change_of_a_bias_is_refused(small, weights, tmp_path, module):
    adapter = write_adapter(tmp_path / "adapter", _factors(weights, (*HELD, module)))
    with pytest.raises(ConversionError, match=r"also changes the bias blk\.0\.") as caught:
        convert_lora(adapter, small[0], tmp_path / "adapter.gguf")
    assert "Merge it instead" in (caught.value.remedy or "")


def _evaluate(log, ids, path, *adapters):
    return session_logits(log, path, ids, *adapters)
