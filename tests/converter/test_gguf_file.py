"""Test the reader of GGUF headers against the writer, the gguf package, and hostile files."""

import struct

import numpy as np
import pytest
from gguf import GGUFReader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter.errors import ConversionError
from converter.ggml_types import TENSOR_TYPES
from converter.gguf_file import MetadataType, StringArray, read_header
from converter.gguf_writer import TensorSpec, boolean, float32, lay_out, numbers, string, strings, uint32

METADATA = {
    "general.architecture": string("phi3"),
    "general.name": string("Phi-3 ünïcode"),
    "phi3.block_count": uint32(2),
    "phi3.rope.freq_base": float32(10000.0),
    "tokenizer.ggml.add_bos_token": boolean(True),
    "tokenizer.ggml.tokens": strings(["<s>", "▁a", ""]),
    "tokenizer.ggml.scores": numbers([0.5, -1.0, 3.0], MetadataType.FLOAT32),
}
SPECS = [
    TensorSpec("token_embd.weight", (3, 64), TENSOR_TYPES["q8_0"]),
    TensorSpec("output_norm.weight", (7,), TENSOR_TYPES["f32"]),
    TensorSpec("blk.0.ffn_up_exps.weight", (2, 4, 32), TENSOR_TYPES["bf16"]),
]


@pytest.fixture
def good_file(tmp_path):
    layout = lay_out(METADATA, SPECS)
    path = tmp_path / "good.gguf"
    path.write_bytes(layout.header + bytes(layout.size - len(layout.header)))
    return path


def test_reads_what_was_written(good_file):
    header = read_header(good_file)
    assert header.metadata.keys() == METADATA.keys()
    assert header.architecture == "phi3"
    assert header.text("general.name") == "Phi-3 ünïcode"
    assert header.number("phi3.block_count") == 2
    assert header.get("tokenizer.ggml.tokens").decoded() == ["<s>", "▁a", ""]
    assert header.get("tokenizer.ggml.scores").tolist() == [0.5, -1.0, 3.0]
    assert [(info.name, info.shape, info.type.name) for info in header.tensors.values()] == [
        (spec.name, spec.shape, spec.type.name) for spec in SPECS
    ]
    assert [info.nbytes for info in header.tensors.values()] == [3 * 68, 28, 2 * 4 * 64]


def test_the_gguf_package_reads_the_same(good_file):
    reader = GGUFReader(good_file)
    header = read_header(good_file)
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["<s>", "▁a", ""]
    assert reader.fields["phi3.rope.freq_base"].contents() == 10000.0
    for tensor in reader.tensors:
        info = header.tensors[tensor.name]
        assert tuple(tensor.shape.tolist()) == info.shape[::-1]
        assert (int(tensor.data_offset), int(tensor.n_bytes)) == (info.offset, info.nbytes)
    del reader  # unmaps the file


def test_strings_survive_even_where_they_are_no_utf8():
    packed = struct.pack("<Q", 2) + b"\xff\xfe"
    array = StringArray(packed, 1)
    assert StringArray.of(array.decoded()) == array


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"PK\x03\x04" + bytes(100), "PyTorch"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html>", "web page"),
        (struct.pack("<Q", 20) + b'{"a":{}}            ', "safetensors"),
        (b"GGUF", "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "tensors, more than"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "metadata values, more than"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 62) + bytes(20), "cut off"),
    ],
)
def test_names_what_is_wrong_with_a_file_that_is_no_model(tmp_path, content, reason):
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=reason) as caught:
        read_header(path)
    assert caught.value.code == "model_invalid"


def _with_value(type_and_value):
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + type_and_value + bytes(64)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (struct.pack("<I", 99), "unknown type 99"),
        (struct.pack("<IIQ", 9, 9, 1), "array of arrays"),
        (struct.pack("<IIQ", 9, 8, 1 << 61), "strings in 'k', more than"),
        (struct.pack("<IIQ", 9, 4, 1 << 61), "numbers in 'k', more than"),
        (struct.pack("<IIQQ", 9, 8, 1, 1 << 63), "cut off"),
        (struct.pack("<IIQQ", 9, 8, 2, 1 << 63), "cut off"),
    ],
)
def test_hostile_metadata_is_refused(tmp_path, value, reason):
    path = tmp_path / "bad.gguf"
    path.write_bytes(_with_value(value))
    with pytest.raises(ConversionError, match=reason):
        read_header(path)


def _tensor(name=b"t", dims=(32,), type_=0, offset=0):
    return (
        struct.pack("<Q", len(name))
        + name
        + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        + struct.pack("<IQ", type_, offset)
    )


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ([_tensor(name=b"x" * 64)], "more than 63 bytes"),
        ([_tensor(dims=(1,) * 5)], "5 dimensions"),
        ([_tensor(dims=(0,))], "impossible"),
        ([_tensor(dims=(33,), type_=8)], "impossible for q8_0"),
        ([_tensor(type_=4)], "unknown type 4"),
        ([_tensor(offset=5)], "not aligned"),
        ([_tensor(dims=(1 << 40, 1 << 20))], "cut off"),
        ([_tensor(offset=1 << 40)], "cut off"),
        ([_tensor(), _tensor(b"u", offset=64)], "overlaps"),
        ([_tensor(), _tensor(offset=128)], "twice"),
    ],
)
def test_hostile_tensors_are_refused(tmp_path, tensors, reason):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0) + b"".join(tensors) + bytes(512))
    with pytest.raises(ConversionError, match=reason):
        read_header(path)


def test_a_missing_file_has_its_own_code(tmp_path):
    with pytest.raises(ConversionError) as caught:
        read_header(tmp_path / "nowhere.gguf")
    assert caught.value.code == "model_not_found"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0))
def test_a_file_cut_anywhere_is_refused(good_file, cut):
    data = good_file.read_bytes()
    path = good_file.with_name("cut.gguf")
    last_byte = max(info.offset + info.nbytes for info in read_header(good_file).tensors.values())
    path.write_bytes(data[: cut % last_byte])
    with pytest.raises(ConversionError):
        read_header(path)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(min_value=0), value=st.binary(min_size=1, max_size=8))
def test_damage_anywhere_in_the_header_ends_in_a_header_or_a_plain_error(good_file, position, value):
    data = bytearray(good_file.read_bytes())
    position %= len(data) - len(value)
    data[position : position + len(value)] = value
    path = good_file.with_name("damaged.gguf")
    path.write_bytes(data)
    try:
        header = read_header(path)
    except ConversionError:
        return
    assert all(info.offset + info.nbytes <= header.size for info in header.tensors.values())


def test_a_header_longer_than_the_first_read_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("converter.gguf_file.FIRST_READ_BYTES", 64)
    layout = lay_out(METADATA | {"x": numbers(np.arange(1000).tolist(), MetadataType.INT32)}, SPECS)
    path = tmp_path / "long.gguf"
    path.write_bytes(layout.header + bytes(layout.size - len(layout.header)))
    assert len(read_header(path).tensors) == 3
