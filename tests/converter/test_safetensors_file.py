"""Test the reader of safetensors headers against the safetensors package and hostile files."""

import json
import struct
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from converter.errors import ConversionError
from converter.lazy_tensors import CheckpointRows, FileBytes
from converter.safetensors_file import read_safetensors_header


@pytest.fixture
def good_file(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.ones(5, np.float16)}, path)
    return path


def _file(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_reads_what_the_package_writes(good_file):
    tensors = read_safetensors_header(good_file)
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()} == {
        "a": ((3, 4), "F32"),
        "b": ((5,), "F16"),
    }
    with closing(FileBytes(good_file)) as file:
        rows = CheckpointRows(tensors["a"], file).rows(1, 3)
    assert rows.tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, "does not fit its shape"),
        ({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, "unknown number format"),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, "damaged"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, "damaged"),
        ({"a": 5}, "unknown number format"),
        ({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}, "cut off"),
        (
            {
                "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
            },
            "overlaps",
        ),
        (b'{"a":{},"a":{}}', "a name twice"),
        (b"{nonsense}", "damaged"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "damaged|unknown number format"),
    ],
)
def test_wrong_headers_are_refused(tmp_path, entries, reason):
    with pytest.raises(ConversionError, match=reason):
        read_safetensors_header(_file(tmp_path / "model.safetensors", entries, bytes(8)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"GGUF" + bytes(60), "GGUF file"),
        (b"PK\x03\x04" + bytes(60), "pickle"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (struct.pack("<Q", 1 << 60) + b'{"a"', "cut off"),
        (bytes(64), "begins like no safetensors"),
    ],
)
def test_mislabelled_files_are_named(tmp_path, content, reason):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=reason):
        read_safetensors_header(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0))
def test_a_file_cut_anywhere_is_refused(good_file, cut):
    data = good_file.read_bytes()
    path = good_file.with_name("cut.safetensors")
    path.write_bytes(data[: cut % len(data)])
    with pytest.raises(ConversionError):
        read_safetensors_header(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(min_value=0), value=st.binary(min_size=1, max_size=4))
def test_damage_ends_in_tensors_inside_the_file_or_a_plain_error(good_file, position, value):
    data = bytearray(good_file.read_bytes())
    position %= len(data) - len(value)
    data[position : position + len(value)] = value
    path = good_file.with_name("damaged.safetensors")
    path.write_bytes(data)
    try:
        tensors = read_safetensors_header(path)
    except ConversionError:
        return
    assert all(tensor.offset <= len(data) for tensor in tensors.values())
