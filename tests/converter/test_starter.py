"""Test that the phi3 layout of a Llama-layout model computes the same."""

import subprocess

import numpy as np
import pytest

import bootstrap
from converter import starter
from converter.errors import ConversionError
from converter.ggml_types import TENSOR_TYPES
from converter.gguf_file import read_header
from converter.gguf_stream import TensorToWrite, write_gguf
from converter.gguf_writer import TensorSpec, float32, string, uint32
from converter.lazy_tensors import ArrayRows
from converter.starter import write_starter
from tests.helpers.gguf_files import dequantized, packed_rows
from tests.helpers.logits import llama_logits, relative_error
from tests.helpers.quantizer import ggml_quantizer

EMBEDDING, FEED_FORWARD, HEADS, KV_HEADS, LAYERS, VOCABULARY = 96, 128, 3, 1, 3, 300
HEAD = EMBEDDING // HEADS
REAL_SOURCE = bootstrap.cache_folder() / bootstrap.STARTER_PACKAGE


def llama_layout(path, mixed=False, vocabulary=VOCABULARY, **metadata):
    """Write a random model in the Llama layout, its matrices in q4_1; `mixed` gives one value matrix another type."""
    random = np.random.default_rng(5)
    shapes = {"token_embd.weight": (vocabulary, EMBEDDING), "output_norm.weight": (EMBEDDING,)}
    layer = {
        "attn_norm": (EMBEDDING,),
        "ffn_norm": (EMBEDDING,),
        "ffn_down": (EMBEDDING, FEED_FORWARD),
        "ffn_gate": (FEED_FORWARD, EMBEDDING),
        "ffn_up": (FEED_FORWARD, EMBEDDING),
        "attn_k": (KV_HEADS * HEAD, EMBEDDING),
        "attn_output": (EMBEDDING, EMBEDDING),
        "attn_q": (EMBEDDING, EMBEDDING),
        "attn_v": (KV_HEADS * HEAD, EMBEDDING),
    }
    shapes |= {f"blk.{i}.{name}.weight": shape for i in range(LAYERS) for name, shape in layer.items()}
    tensors = []
    for name, shape in shapes.items():
        type_name = "f32" if len(shape) == 1 else "q8_0" if mixed and name == "blk.1.attn_v.weight" else "q4_1"
        values = (random.standard_normal(shape) * (0.15 if len(shape) > 1 else 0.1) + (len(shape) == 1)).astype(
            np.float32
        )
        packed = np.atleast_2d(values) if type_name == "f32" else ggml_quantizer(values, type_name)
        spec = TensorSpec(name, shape, TENSOR_TYPES[type_name])
        tensors.append(TensorToWrite(spec, ArrayRows(packed, shape), lambda rows: rows))
    sizes = {
        "vocab_size": vocabulary,
        "block_count": LAYERS,
        "context_length": 512,
        "embedding_length": EMBEDDING,
        "feed_forward_length": FEED_FORWARD,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "rope.dimension_count": HEAD,
    }
    values = {f"llama.{key}": uint32(value) for key, value in sizes.items()}
    values["llama.attention.layer_norm_rms_epsilon"] = float32(1e-5)
    values |= {
        "general.architecture": string("llama"),
        "general.name": string("tiny"),
        "tokenizer.ggml.model": string("none"),
    }
    write_gguf(path, values | metadata, tensors)
    return path


def assert_same_model(source, out, tmp_path, vocabulary):
    ids = np.random.default_rng(2).integers(0, vocabulary, 48).tolist()
    before = llama_logits(dequantized(source, tmp_path / "before.gguf"), ids)
    after = llama_logits(dequantized(out, tmp_path / "after.gguf"), ids)
    assert relative_error(after, before) < 1e-5


def test_logits_stay_the_same(tmp_path):
    source = llama_layout(tmp_path / "llama.gguf")
    write_starter(tmp_path / "starter.gguf", source)
    assert_same_model(source, tmp_path / "starter.gguf", tmp_path, VOCABULARY)
    header = read_header(tmp_path / "starter.gguf")
    assert header.architecture == "phi3" and header.number("phi3.block_count") == LAYERS
    assert header.tensors["blk.0.attn_qkv.weight"].shape == (EMBEDDING + 2 * KV_HEADS * HEAD, EMBEDDING)
    assert not any(key.startswith("llama.") for key in header.metadata)
    assert "phi-3" not in header.text("general.name").lower()
    assert header.text("phidelity.source.name") == "tiny"


def test_every_packed_row_is_one_of_the_source(tmp_path):
    source = llama_layout(tmp_path / "llama.gguf")
    write_starter(tmp_path / "starter.gguf", source)

    assert packed_rows(tmp_path / "starter.gguf") == packed_rows(source)


def test_parts_of_different_types_are_refused(tmp_path):
    source = llama_layout(tmp_path / "llama.gguf", mixed=True)
    with pytest.raises(ConversionError, match=r"blk\.1\.attn_qkv\.weight are of different kinds"):
        write_starter(tmp_path / "starter.gguf", source)


def test_another_architecture_is_refused(tmp_path):
    source = llama_layout(tmp_path / "llama.gguf", **{"general.architecture": string("qwen2")})
    with pytest.raises(ConversionError, match="no model in the Llama layout"):
        write_starter(tmp_path / "starter.gguf", source)


def test_a_folder_without_model_is_named(tmp_path):
    with pytest.raises(ConversionError, match="no GGUF file"):
        write_starter(tmp_path / "starter.gguf", tmp_path)


def test_a_failed_download_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(starter.importlib.util, "find_spec", lambda name: None)
    failed = subprocess.CompletedProcess([], 1, "", "log\nERROR: no route to host\n")
    monkeypatch.setattr(starter.subprocess, "run", lambda *args, **options: failed)
    with pytest.raises(ConversionError, match="could not be downloaded: ERROR: no route to host"):
        write_starter(tmp_path / "starter.gguf")


@pytest.mark.skipif(not REAL_SOURCE.exists(), reason="the package of the Starter has not been downloaded")
def test_the_real_model_stays_the_same(tmp_path):
    source = next(REAL_SOURCE.rglob("*.gguf"))
    write_starter(tmp_path / "starter.gguf", REAL_SOURCE)
    assert_same_model(source, tmp_path / "starter.gguf", tmp_path, 49152)
