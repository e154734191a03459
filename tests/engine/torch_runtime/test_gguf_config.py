"""A converted file says what its checkpoint's config.json says; files that do not are left to llama.cpp."""

from dataclasses import replace

import pytest

from converter.gguf_file import read_header
from converter.gguf_writer import float32, string, uint32
from converter.metadata import BLOCK_SIZE_KEY, GEGELU_LIMIT_KEY, SOURCE_ARCHITECTURE_KEY, VERTICAL_STRIDE_KEY
from engine.torch_runtime.gguf_config import exact_config
from engine.torch_runtime.phi3small_config import Phi3SmallConfig
from tests.helpers.gguf_files import edited


def test_the_file_says_what_config_json_says(small):
    checkpoint, path = small
    expected = Phi3SmallConfig.read(checkpoint / "config.json")
    ours = exact_config(read_header(path))
    assert ours is not None
    assert ours.layer_norm_epsilon == pytest.approx(expected.layer_norm_epsilon)
    assert ours.attention_scale == expected.attention_scale
    assert replace(ours, layer_norm_epsilon=expected.layer_norm_epsilon) == expected


def test_long_rope_has_its_scales_and_its_line(small_longrope):
    checkpoint, path = small_longrope
    expected = Phi3SmallConfig.read(checkpoint / "config.json").rope_scaling
    ours = exact_config(read_header(path)).rope_scaling
    assert ours["original_max_position_embeddings"] == expected["original_max_position_embeddings"] == 1024
    assert ours["short_mscale"] == expected["short_mscale"]
    assert ours["long_mscale"] == pytest.approx(expected["long_mscale"])


@pytest.mark.parametrize(
    ("changes", "without"),
    [
        ({}, [BLOCK_SIZE_KEY]),
        ({SOURCE_ARCHITECTURE_KEY: string("phi3")}, []),
        ({VERTICAL_STRIDE_KEY: uint32(0)}, []),
        ({VERTICAL_STRIDE_KEY: string("eight")}, []),
        ({"granite_swa.attention.head_count": uint32(0)}, []),
        ({"granite_swa.attention.head_count_kv": uint32(3)}, []),
        ({"granite_swa.rope.dimension_count": uint32(2)}, []),
        ({"split.count": uint32(2)}, []),
        ({"granite_swa.block_count": uint32(2**31)}, []),
        ({"granite_swa.feed_forward_length": uint32(2**31)}, []),
        ({"granite_swa.vocab_size": uint32(2**31)}, []),
        ({}, ["token_embd.weight"]),
    ],
)
def test_files_that_do_not_say_enough_have_no_exact_configuration(small, tmp_path, changes, without):
    path = edited(small[1], tmp_path / "m.gguf", changes, without)
    assert exact_config(read_header(path)) is None


@pytest.mark.parametrize("key", ["attn_factor", "original_context_length"])
def test_a_line_or_a_scale_of_zero_is_not_computed_with(small_longrope, tmp_path, key):
    value = uint32(0) if key == "original_context_length" else float32(0)
    path = edited(small_longrope[1], tmp_path / "m.gguf", {f"granite_swa.rope.scaling.{key}": value})
    assert exact_config(read_header(path)) is None


def test_a_file_without_a_limit_is_not_clamped(small, tmp_path):
    path = edited(small[1], tmp_path / "m.gguf", {}, [GEGELU_LIMIT_KEY])
    assert exact_config(read_header(path)).gegelu_limit is None
