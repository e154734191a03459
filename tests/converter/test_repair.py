"""Test that known faults of GGUF files are recognised, and cured without changing a weight."""

import numpy as np
import pytest

from converter.architectures import phimoe
from converter.convert import convert
from converter.errors import ConversionError
from converter.gguf_file import read_header
from converter.gguf_writer import float32, string, strings, uint32
from converter.inspect import inspect
from converter.repair import repair
from tests.converter.test_starter import llama_layout
from tests.helpers.checkpoints import make_phi3, make_phimoe
from tests.helpers.gguf_files import dequantized, edited, packed_rows, tensor_bytes
from tests.helpers.logits import llama_logits, reference_logits, relative_error
from tests.helpers.quantizer import ggml_quantizer
from tests.helpers.tokens import llama_tokens, vocabulary_of

WINDOW = 47


def _faults(path):
    return {fault.code: fault.repairable for fault in inspect(path).faults}


@pytest.fixture(scope="module")
def windowed(tmp_path_factory):
    """Make a checkpoint with a short sliding window."""
    folder = tmp_path_factory.mktemp("windowed") / "model"
    return make_phi3(folder, "medium", sliding_window=WINDOW, vocab_size=500, pad_token_id=0, tokenizer=False)


def _as_others_write_it(checkpoint, out, outtype):
    """Convert to the phi3 layout, which ignores the window that the metadata names."""
    config = checkpoint / "config.json"
    original = config.read_text()
    try:
        config.write_text(original.replace(f'"sliding_window": {WINDOW}', '"sliding_window": 4096'))
        convert(checkpoint, out.with_suffix(".plain"), outtype=outtype, quantizer=ggml_quantizer)
    finally:
        config.write_text(original)
    return edited(out.with_suffix(".plain"), out, {"phi3.attention.sliding_window": uint32(WINDOW)})


def test_a_missing_window_is_repaired_to_what_a_conversion_makes(windowed, tmp_path):
    stock = _as_others_write_it(windowed, tmp_path / "stock.gguf", "f32")
    assert _faults(stock)["sliding_window"] is True
    result = repair(stock, tmp_path / "repaired.gguf")
    assert [fault.code for fault in result.repaired] == ["sliding_window"]
    assert "sliding_window" not in _faults(result.path)
    convert(windowed, tmp_path / "direct.gguf", outtype="f32")
    assert tensor_bytes(result.path) == tensor_bytes(tmp_path / "direct.gguf")
    ids = np.random.default_rng(0).integers(0, 500, 200).tolist()
    reference = reference_logits(windowed, ids)
    assert relative_error(llama_logits(stock, ids), reference) > 0.1
    assert relative_error(llama_logits(result.path, ids), reference) < 1e-4


@pytest.mark.parametrize("outtype", ["q4_k_m", "q8_0", "iq4_xs"])
def test_no_byte_of_a_quantised_weight_changes(windowed, tmp_path, outtype):
    stock = _as_others_write_it(windowed, tmp_path / "stock.gguf", outtype)
    repair(stock, tmp_path / "repaired.gguf")
    sinks = [read_header(tmp_path / "repaired.gguf").tensors[f"blk.{layer}.attn_sinks.weight"] for layer in range(2)]
    rows = packed_rows(tmp_path / "repaired.gguf")
    for info in sinks:
        rows.remove((tmp_path / "repaired.gguf").read_bytes()[info.offset : info.offset + info.nbytes])
    assert rows == packed_rows(stock)
    ids = np.random.default_rng(0).integers(0, 500, WINDOW).tolist()  # inside the window both compute the same
    before = llama_logits(dequantized(stock, tmp_path / "before.gguf"), ids)
    after = llama_logits(dequantized(tmp_path / "repaired.gguf", tmp_path / "after.gguf"), ids)
    assert relative_error(after, before) < 1e-5


def test_the_window_of_the_real_models_is_known_where_the_file_does_not_tell(mini_gguf, tmp_path):
    shape = {"phi3.block_count": uint32(32), "phi3.embedding_length": uint32(3072)}
    path = edited(mini_gguf, tmp_path / "m.gguf", shape, without=["phi3.attention.sliding_window"])
    report = inspect(path)
    assert "window of 2047 tokens" in report.faults[0].message
    assert not report.faults[0].repairable  # the shape is claimed, the tensors are missing


def test_partly_turned_heads_cannot_be_windowed(mini_gguf, tmp_path):
    changes = {"phi3.attention.sliding_window": uint32(100), "phi3.rope.dimension_count": uint32(16)}
    assert _faults(edited(mini_gguf, tmp_path / "m.gguf", changes)) == {"sliding_window": False}


def test_a_name_without_marker_is_repaired(mini_gguf, tmp_path):
    path = edited(mini_gguf, tmp_path / "m.gguf", {"general.name": string("My support bot")})
    assert _faults(path) == {"name_marker": True}
    repair(path, tmp_path / "repaired.gguf")
    text = "<|user|>\n Hi <|end|>\n<|assistant|>\n"
    with vocabulary_of(path) as stock, vocabulary_of(tmp_path / "repaired.gguf") as repaired:
        assert len(llama_tokens(stock, text, special=True)) > len(llama_tokens(repaired, text, special=True))
    assert read_header(tmp_path / "repaired.gguf").text("general.name") == "My support bot (Phi-3)"
    assert tensor_bytes(tmp_path / "repaired.gguf") == tensor_bytes(mini_gguf)


def test_a_marker_that_forbids_loading_is_repaired(tmp_path, mini_gguf):
    without = ["phidelity.tokenizer.added_tokens"]
    source = read_header(mini_gguf).get("tokenizer.ggml.tokens").decoded()
    tokens = strings(["<other>" if token == "</s>" else token for token in source])
    path = edited(mini_gguf, tmp_path / "m.gguf", {"tokenizer.ggml.tokens": tokens}, without)
    assert _faults(path) == {"name_marker": True}
    repair(path, tmp_path / "repaired.gguf")
    with vocabulary_of(tmp_path / "repaired.gguf") as vocabulary:
        assert llama_tokens(vocabulary, "Hello")


def test_a_missing_template_and_end_of_turn_are_repaired(mini_gguf, tmp_path):
    without = ["tokenizer.chat_template", "tokenizer.ggml.eot_token_id", "phidelity.tokenizer.stop_ids"]
    path = edited(mini_gguf, tmp_path / "m.gguf", {}, without)
    assert _faults(path) == {"chat_template": True, "end_of_turn": True}
    result = repair(path, tmp_path / "repaired.gguf")
    header = read_header(tmp_path / "repaired.gguf")
    assert result.remaining == () and "<|assistant|>" in header.text("tokenizer.chat_template")
    assert header.number("tokenizer.ggml.eot_token_id") == 32007
    assert header.get("phidelity.tokenizer.stop_ids").tolist() == [32000, 32001, 32007]


@pytest.mark.parametrize("template", ["<|im_start|>user", "[INST] {{ x }} [/INST]"])
def test_a_template_of_another_model_is_repaired(mini_gguf, tmp_path, template):
    path = edited(mini_gguf, tmp_path / "m.gguf", {"tokenizer.chat_template": string(template)})
    assert _faults(path) == {"chat_template": True}
    assert repair(path, tmp_path / "repaired.gguf").remaining == ()


def test_long_rope_without_factors_is_reported_and_without_scale_repaired(tmp_path):
    folder = make_phi3(tmp_path / "model", "mini-128k", vocab_size=500, pad_token_id=0, tokenizer=False)
    convert(folder, tmp_path / "good.gguf", outtype="f32")
    no_factors = edited(
        tmp_path / "good.gguf",
        tmp_path / "a.gguf",
        {},
        ["rope_factors_long.weight", "rope_factors_short.weight", "phi3.rope.scaling.attn_factor"],
    )
    assert _faults(no_factors) == {"long_rope_factors": False, "tokenizer": False}
    no_scale = edited(tmp_path / "good.gguf", tmp_path / "b.gguf", {}, ["phi3.rope.scaling.attn_factor"])
    assert _faults(no_scale) == {"long_rope_scale": True, "tokenizer": False}
    repair(no_scale, tmp_path / "repaired.gguf")
    assert read_header(tmp_path / "repaired.gguf").number("phi3.rope.scaling.attn_factor") == pytest.approx(1.190238)


ROUTER_KEYS = [f"phidelity.router.{key}" for key in ("jitter_noise", "score_scale", "weight_scale")]


def _with_plain_router(folder, out, outtype, monkeypatch):
    """Convert a mixture of experts with router and experts as they are in the checkpoint."""
    with monkeypatch.context() as patch:
        patch.setattr(phimoe, "ROUTER_SCALE", 1.0)
        patch.setattr(phimoe, "EXPERT_SCALE", 1.0)
        convert(folder, out.with_suffix(".plain"), outtype=outtype)
    return edited(out.with_suffix(".plain"), out, {}, ROUTER_KEYS)


@pytest.mark.parametrize("outtype", ["f32", "q8_0"])
def test_the_router_of_a_mixture_of_experts_is_repaired_to_what_a_conversion_makes(tmp_path, monkeypatch, outtype):
    folder = make_phimoe(tmp_path / "model", vocab_size=500, tokenizer=False)
    stock = _with_plain_router(folder, tmp_path / "stock.gguf", outtype, monkeypatch)
    assert _faults(stock) == {"moe_router": True, "tokenizer": False}
    repair(stock, tmp_path / "repaired.gguf")
    convert(folder, tmp_path / "direct.gguf", outtype=outtype)
    assert tensor_bytes(tmp_path / "repaired.gguf") == tensor_bytes(tmp_path / "direct.gguf")
    repaired, direct = read_header(tmp_path / "repaired.gguf"), read_header(tmp_path / "direct.gguf")
    assert [repaired.get(key) for key in ROUTER_KEYS] == [direct.get(key) for key in ROUTER_KEYS]


def test_weights_that_are_not_centred_are_reported(tmp_path):
    folder = make_phimoe(tmp_path / "model", vocab_size=500, tokenizer=False, num_hidden_layers=1)
    convert(folder, tmp_path / "m.gguf", outtype="f32")
    path = edited(tmp_path / "m.gguf", tmp_path / "stock.gguf", {}, ["phidelity.layer_norm.centred"])
    assert _faults(path) == {"moe_layer_norm": False, "tokenizer": False}


def test_the_scale_of_the_real_mixture_of_experts_is_known(tmp_path, monkeypatch):
    folder = make_phimoe(tmp_path / "model", vocab_size=500, tokenizer=False, num_hidden_layers=1)
    stock = _with_plain_router(folder, tmp_path / "stock.gguf", "f32", monkeypatch)
    real = {
        "phimoe.block_count": uint32(32),
        "phimoe.embedding_length": uint32(4096),
        "phimoe.expert_count": uint32(16),
        "phimoe.rope.scaling.attn_factor": float32(1.190238),
    }
    path = edited(stock, tmp_path / "real.gguf", real)
    assert _faults(path)["moe_rope_scale"] is True
    repair(path, tmp_path / "repaired.gguf")
    factor = read_header(tmp_path / "repaired.gguf").number("phimoe.rope.scaling.attn_factor")
    assert factor == pytest.approx(1.2431631, abs=1e-6)


def test_models_of_other_families_have_no_faults(tmp_path):
    path = llama_layout(tmp_path / "llama.gguf")
    assert inspect(path).faults == ()
    with pytest.raises(ConversionError, match="has no known fault"):
        repair(path, tmp_path / "repaired.gguf")


def test_only_faults_that_cannot_be_cured_are_said_so(mini_gguf, tmp_path):
    changes = {"phi3.attention.sliding_window": uint32(100), "phi3.rope.dimension_count": uint32(16)}
    path = edited(mini_gguf, tmp_path / "m.gguf", changes)
    with pytest.raises(ConversionError, match="cannot be cured in the file"):
        repair(path, tmp_path / "repaired.gguf")
    assert not (tmp_path / "repaired.gguf").exists()


def test_a_file_is_not_repaired_into_itself(mini_gguf):
    with pytest.raises(ConversionError, match="into itself"):
        repair(mini_gguf, mini_gguf)


def test_parts_of_a_split_model_are_refused(mini_gguf, tmp_path):
    path = edited(mini_gguf, tmp_path / "m.gguf", {"split.count": uint32(3)})
    with pytest.raises(ConversionError, match="split model"):
        repair(path, tmp_path / "repaired.gguf")


def test_a_file_of_another_converter_lacks_only_its_stops(mini_gguf, tmp_path):
    """Files of other converters carry no flags; the chat tokens alone tell that the marker is wanted."""
    without = [
        "phidelity.tokenizer.added_tokens",
        "phidelity.tokenizer.stop_ids",
        "tokenizer.ggml.eot_token_id",
    ]
    path = edited(mini_gguf, tmp_path / "m.gguf", {"general.name": string("Phi3")}, without)
    assert _faults(path) == {"end_of_turn": True}
