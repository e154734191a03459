"""Test sliding windows: the reference's mask is met at every position."""

import numpy as np
import pytest

from converter.convert import convert
from converter.gguf_file import read_header
from tests.helpers.checkpoints import make_phi3
from tests.helpers.logits import llama_logits, reference_logits, relative_error

WINDOWED = {
    "mini-4k": {"sliding_window": 47},
    "medium": {"sliding_window": 100},
    "mini-128k": {"sliding_window": 64, "max_position_embeddings": 8192},
}


def _random_ids(count):
    return np.random.default_rng(1).integers(0, 500, count).tolist()


@pytest.mark.parametrize(("variant", "changes"), WINDOWED.items())
def test_a_sliding_window_is_kept_exactly(tmp_path, variant, changes):
    folder = make_phi3(tmp_path / "model", variant, vocab_size=500, pad_token_id=0, tokenizer=False, **changes)
    result = convert(folder, tmp_path / "model.gguf", outtype="f32")
    ids = _random_ids(300)
    assert result.architecture == "granite_swa"
    ours = llama_logits(tmp_path / "model.gguf", ids, n_ctx=4096)
    assert relative_error(ours, reference_logits(folder, ids)) < 1e-4


def test_mini_4k_is_kept_on_both_sides_of_its_window(tmp_path):
    folder = make_phi3(tmp_path / "model", "mini-4k", vocab_size=500, pad_token_id=0, tokenizer=False)
    convert(folder, tmp_path / "model.gguf", outtype="f32")
    ids = _random_ids(2600)
    rows = slice(2000, 2600, 23)
    ours = llama_logits(tmp_path / "model.gguf", ids, rows=rows)
    assert relative_error(ours, reference_logits(folder, ids, rows)) < 1e-3


@pytest.mark.parametrize("variant", ["mini", "mini-128k", "phi-4-mini"])
def test_a_window_no_text_can_leave_changes_nothing(tmp_path, variant):
    changes = {"sliding_window": 262144} if variant == "mini-128k" else {}
    folder = make_phi3(tmp_path / "model", variant, vocab_size=500, pad_token_id=0, tokenizer=False, **changes)
    assert convert(folder, tmp_path / "model.gguf", outtype="bf16").architecture == "phi3"


def test_a_window_with_partly_turned_heads_is_approximate_and_says_so(tmp_path):
    """No graph of llama.cpp has both."""
    changes = {"sliding_window": 100, "partial_rotary_factor": 0.5}
    folder = make_phi3(tmp_path / "model", vocab_size=500, pad_token_id=0, tokenizer=False, **changes)
    result = convert(folder, tmp_path / "model.gguf", outtype="f32")
    assert "approximate beyond 100 tokens" in result.warnings[0]
    assert read_header(tmp_path / "model.gguf").number("phidelity.faithful_context") == 100
    ids = _random_ids(100)
    assert relative_error(llama_logits(tmp_path / "model.gguf", ids), reference_logits(folder, ids)) < 1e-4


@pytest.mark.parametrize(("tokens", "context"), [(200, 256), (300, 512)])
def test_long_rope_on_both_sides_of_its_line(tmp_path, tokens, context):
    """The runtime picks the factors by the size of the context it opens; the line is at 256 tokens here."""
    changes = {"original_max_position_embeddings": 256, "max_position_embeddings": 8192}
    folder = make_phi3(tmp_path / "model", "mini-128k", vocab_size=500, pad_token_id=0, tokenizer=False, **changes)
    convert(folder, tmp_path / "model.gguf", outtype="f32")
    ids = _random_ids(tokens)
    ours = llama_logits(tmp_path / "model.gguf", ids, n_ctx=context)
    assert relative_error(ours, reference_logits(folder, ids)) < 1e-4
