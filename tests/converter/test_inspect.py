"""Test what inspect tells about files and directories; faults are tested with their cures in test_repair.py."""

import shutil
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.errors import ConversionError
from converter.gguf_file import read_header
from converter.gguf_writer import float32, string, uint32
from converter.inspect import inspect, inspect_header
from converter.lora import convert_lora
from tests.helpers.adapters import make_adapter
from tests.helpers.checkpoints import make_phi3
from tests.helpers.fixtures import unpack_checkpoint


def test_a_sound_conversion_has_no_faults(mini_gguf):
    report = inspect(mini_gguf)
    assert report.faults == () and report.file_type == "f32" and report.has_chat_template
    assert (report.kind, report.architecture, report.context) == ("gguf", "phi3", 4096)


def test_a_checkpoint_is_described(mini):
    report = inspect(mini)
    assert (report.kind, report.architecture, report.name) == ("checkpoint", "phi3", "mini")
    assert report.parameters == 8536704 and report.context == 4096 and report.faults == ()


def test_a_checkpoint_without_tokenizer_has_a_fault(tmp_path):
    report = inspect(make_phi3(tmp_path / "model", vocab_size=500, pad_token_id=0, tokenizer=False))
    assert [(fault.code, fault.repairable) for fault in report.faults] == [("tokenizer", False)]


def test_what_a_conversion_cannot_keep_is_said_before_it(tmp_path):
    report = inspect(unpack_checkpoint("phi3small-tiny", tmp_path))
    assert "approximate beyond 1024 tokens" in report.warnings[0]


def test_an_adapter_is_described_in_both_forms(mini, tmp_path):
    folder = make_adapter(tmp_path / "My bot", mini)
    report = inspect(folder)
    assert (report.kind, report.name, report.base, report.rank) == ("lora", "My bot", str(mini), 4)
    converted = inspect(convert_lora(folder, mini, tmp_path / "bot.gguf").path)
    assert (converted.kind, converted.name, converted.base, converted.rank) == ("adapter", "My bot", "mini", 4)
    assert converted.architecture == "phi3" and converted.faults == ()
    assert converted.parameters == report.parameters > 0


def test_what_cannot_be_converted_is_an_error(tmp_path, mini):
    folder = tmp_path / "model"
    shutil.copytree(mini, folder)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"phi3"', '"llama"'))
    with pytest.raises(ConversionError, match="'llama' cannot be converted"):
        inspect(folder)


KEYS = [
    "block_count", "embedding_length", "context_length", "attention.head_count", "attention.head_count_kv",
    "attention.sliding_window", "rope.dimension_count", "rope.scaling.original_context_length",
]  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    values=st.dictionaries(
        st.sampled_from(KEYS),
        st.integers(0, 2**32 - 1).map(uint32) | st.floats(width=32).map(float32) | st.text(max_size=3).map(string),
    ),
    architecture=st.sampled_from(["phi3", "phimoe"]),
)
def test_senseless_metadata_does_no_harm(mini_gguf, values, architecture):
    header = read_header(mini_gguf)
    metadata = header.metadata | {f"{architecture}.{key}": value for key, value in values.items()}
    metadata["general.architecture"] = string(architecture)
    assert inspect_header(replace(header, metadata=metadata)).architecture == architecture
