"""Test the opening of checkpoint directories: layouts that work and faults that are named."""

import json
import os
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from converter.checkpoint import INDEX_FILE, Checkpoint
from converter.errors import ConversionError

TENSORS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones((4,), np.float16)}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "phi3"}')
    return folder


def _sharded(folder, names=("model-1.safetensors", "model-2.safetensors")):
    save_file({"a": TENSORS["a"]}, folder / "model-1.safetensors")
    save_file({"b": TENSORS["b"]}, folder / "model-2.safetensors")
    weight_map = dict(zip(TENSORS, names, strict=True))
    (folder / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def _values(checkpoint, name):
    source = checkpoint.tensor(name, TENSORS[name].shape)
    values = source.rows(0, 2 if name == "a" else 1)
    checkpoint.close()
    return values


def test_reads_one_file(folder):
    save_file(TENSORS, folder / "model.safetensors")
    checkpoint = Checkpoint(folder)
    assert sorted(checkpoint.names()) == ["a", "b"] and "a" in checkpoint
    assert _values(checkpoint, "a").tolist() == TENSORS["a"].tolist()


def test_a_file_of_the_directory_will_do(folder):
    save_file(TENSORS, folder / "model.safetensors")
    assert Checkpoint(folder / "config.json").folder == folder


def test_reads_shards(folder):
    assert _values(Checkpoint(_sharded(folder)), "b").tolist() == [[1, 1, 1, 1]]


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_reads_the_hubs_cache_of_links(folder, tmp_path):
    _sharded(folder)
    snapshot = tmp_path / "models--org--Phi" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        blob = tmp_path / "models--org--Phi" / "blobs" / f"hash-of-{file.name}"
        blob.parent.mkdir(exist_ok=True)
        shutil.move(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    assert _values(Checkpoint(snapshot), "a").tolist() == TENSORS["a"].tolist()


@pytest.mark.parametrize(
    "name",
    ["../outside.safetensors", "/etc/outside.safetensors", "sub/outside.safetensors", "..\\x.safetensors", "a.bin", 5],
)
def test_an_index_may_only_name_files_of_its_folder(folder, name):
    with pytest.raises(ConversionError, match="must name files of the same folder"):
        Checkpoint(_sharded(folder, names=("model-1.safetensors", name)))


def test_a_missing_shard_is_named(folder):
    (_sharded(folder) / "model-2.safetensors").unlink()
    with pytest.raises(ConversionError, match=r"model-2\.safetensors is missing"):
        Checkpoint(folder)


def test_a_shard_without_its_tensor_is_named(folder):
    save_file({"c": TENSORS["b"]}, _sharded(folder) / "model-2.safetensors")
    with pytest.raises(ConversionError, match="lacks the tensor b"):
        Checkpoint(folder)


def test_pickles_are_refused_with_the_reason(folder):
    (folder / "pytorch_model-00001-of-00002.bin").write_bytes(b"PK")
    with pytest.raises(ConversionError, match=r"pickles.*can run any program"):
        Checkpoint(folder)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no config.json"),
        ({"adapter_config.json": "{}"}, "LoRA adapter"),
        ({"config.json": "{}"}, "no config.json"),
        ({"config.json": "{nonsense"}, "is no JSON"),
        ({"config.json": "[1]"}, "is no object"),
        ({"config.json": '{"model_type": "phi3"}'}, "holds no weights"),
        ({"config.json": '{"model_type": "phi3", "quantization_config": {"quant_method": "gptq"}}'}, "quantised.*gptq"),
        ({"config.json": '{"a": 1}', "model.safetensors": ""}, "it is empty"),
        ({"config.json": '{"a": 1}', INDEX_FILE: '{"weight_map": 3}'}, "must name files"),
    ],
)
def test_directories_that_are_no_checkpoint_are_explained(tmp_path, files, reason):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ConversionError, match=reason):
        Checkpoint(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConversionError) as caught:
        Checkpoint(tmp_path / "nowhere" / "model")
    assert caught.value.code == "model_not_found"


def test_tensors_are_checked_when_they_are_asked_for(folder):
    save_file({**TENSORS, "i": np.ones((2,), np.int32)}, folder / "model.safetensors")
    checkpoint = Checkpoint(folder)
    with pytest.raises(ConversionError, match="c is missing"):
        checkpoint.tensor("c", (1,))
    with pytest.raises(ConversionError, match=r"has the shape \(2, 3\), but config.json asks for \(3, 2\)"):
        checkpoint.tensor("a", (3, 2))
    with pytest.raises(ConversionError, match="stored as I32"):
        checkpoint.tensor("i", (2,))


def test_weights_that_are_no_numbers_are_refused(folder):
    save_file({"a": np.array([[1, np.nan, 2]], np.float32)}, folder / "model.safetensors")
    checkpoint = Checkpoint(folder)
    with pytest.raises(ConversionError, match="infinite or not a number"):
        checkpoint.tensor("a", (1, 3)).rows(0, 1)
    checkpoint.close()
