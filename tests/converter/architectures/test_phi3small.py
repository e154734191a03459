"""Test that a converted Phi-3-small computes the reference without its clamps, within its local blocks."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from converter.checkpoint import Checkpoint
from converter.convert import convert
from converter.errors import ConversionError
from converter.gguf_file import read_header
from converter.tiktoken_vocab import SPECIAL_TOKENS, masked_tokens, read_tiktoken
from converter.vocab import load_vocabulary
from engine.torch_runtime.cache import Cache
from engine.torch_runtime.phi3small import Phi3Small
from engine.torch_runtime.phi3small_config import Phi3SmallConfig
from tests.helpers.fixtures import DATA, unpack_checkpoint
from tests.helpers.logits import llama_logits, relative_error
from tests.helpers.tokens import llama_tokens, vocabulary_of

REFERENCES = DATA / "phi3small-tiny" / "ref"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return unpack_checkpoint("phi3small-tiny", tmp_path_factory.mktemp("phi3small"))


@pytest.fixture(scope="module")
def converted(checkpoint):
    result = convert(checkpoint, checkpoint.parent / "small.gguf", outtype="f32")
    assert result.architecture == "granite_swa"
    return result


def _reference(checkpoint, ids, config_name="config.json"):
    """Compute the reference, which is tested against vectors of its own, with the clamps off."""
    model = Phi3Small.load(checkpoint, torch.float64)
    model.config = replace(Phi3SmallConfig.read(checkpoint / config_name), gegelu_limit=None)
    return model.evaluate(ids, Cache(), torch.arange(len(ids))).numpy()


def _ours(path, ids, n_ctx=0):
    return llama_logits(path, ids, n_ctx) + read_header(path).get("phidelity.logit_bias")


@pytest.mark.parametrize("case", ["seq200", "chat_en", "chat_sys"])
def test_logits_equal_the_reference_without_clamps(checkpoint, converted, case):
    ids = np.load(REFERENCES / f"{case}.npz")["input_ids"].ravel().tolist()
    assert relative_error(_ours(converted.path, ids), _reference(checkpoint, ids)) < 1e-5


def test_logits_equal_the_reference_to_the_end_of_the_local_blocks(checkpoint, converted):
    ids = np.load(REFERENCES / "seq3000.npz")["input_ids"].ravel()[:1024].tolist()
    assert relative_error(_ours(converted.path, ids), _reference(checkpoint, ids)) < 1e-5
    assert read_header(converted.path).number("phidelity.faithful_context") == 1024
    assert "approximate beyond 1024 tokens" in converted.warnings[0]
    assert "above 20 are not clamped" in converted.warnings[1]


def test_a_window_is_nearer_than_seeing_everything(checkpoint, converted):
    """Beyond the local blocks neither is right; the figures are those of the design, 0.09 at most."""
    ids = np.load(REFERENCES / "seq3000.npz")["input_ids"].ravel()[:2500].tolist()
    rows = [2047, 2300, 2499]
    reference = _reference(checkpoint, ids)[rows]
    errors = np.linalg.norm(_ours(converted.path, ids)[rows] - reference, axis=1) / np.linalg.norm(reference, axis=1)
    assert 1e-3 < errors.max() < 0.1


def test_long_rope_has_its_own_scale_for_short_factors(checkpoint, tmp_path):
    """The tiny 128k model has short factors up to 1,024 tokens."""
    folder = unpack_checkpoint("phi3small-tiny", tmp_path)
    (folder / "config.json").write_text((folder / "config.longrope.json").read_text())
    convert(folder, tmp_path / "long.gguf", outtype="f32")
    header = read_header(tmp_path / "long.gguf")
    assert header.number("granite_swa.rope.scaling.attn_factor") == 1.0
    assert header.number("phidelity.rope.long_attn_factor") == pytest.approx(1.1902381, abs=1e-6)
    ids = np.load(REFERENCES / "longrope_seq200.npz")["input_ids"].ravel().tolist()
    ours = _ours(tmp_path / "long.gguf", ids, n_ctx=1024)
    assert relative_error(ours, _reference(checkpoint, ids, "config.longrope.json")) < 1e-4


def test_a_model_without_sparse_layers_is_exact_everywhere(tmp_path):
    folder = unpack_checkpoint("phi3small-tiny", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"dense_attention_every_n_layers": 1, "gegelu_limit": None}
    (folder / "config.json").write_text(json.dumps(config))
    result = convert(folder, tmp_path / "dense.gguf", outtype="f32")
    assert result.warnings == () and read_header(result.path).get("phidelity.faithful_context") is None
    ids = np.load(REFERENCES / "seq3000.npz")["input_ids"].ravel()[:1500].tolist()
    assert relative_error(_ours(result.path, ids), _reference(folder, ids)) < 1e-5


def test_long_factors_take_their_scale_from_the_runtime(tmp_path):
    """A context beyond 1,024 tokens takes the long factors; their scale is passed as `yarn_attn_factor`."""
    folder = unpack_checkpoint("phi3small-tiny", tmp_path)
    config = json.loads((folder / "config.longrope.json").read_text())
    dense = json.dumps(config | {"dense_attention_every_n_layers": 1})
    (folder / "config.json").write_text(dense)
    convert(folder, tmp_path / "long.gguf", outtype="f32")
    header = read_header(tmp_path / "long.gguf")
    ratio = header.number("phidelity.rope.long_attn_factor") / header.number("granite_swa.rope.scaling.attn_factor")
    ids = np.load(REFERENCES / "seq3000.npz")["input_ids"].ravel()[:1200].tolist()
    ours = llama_logits(tmp_path / "long.gguf", ids, n_ctx=2048, yarn_attn_factor=ratio)
    ours += header.get("phidelity.logit_bias")
    assert relative_error(ours, _reference(folder, ids)) < 1e-4


def test_the_file_says_what_its_graph_leaves_out(converted, tmp_path):
    header = read_header(converted.path)
    names = ["blocksparse_block_size", "blocksparse_num_local_blocks", "blocksparse_vert_stride"]
    names += ["blocksparse_homo_head_pattern", "dense_attention_every_n_layers", "gegelu_limit"]
    assert [header.get(f"phidelity.phi3small.{name}") for name in names] == [64, 16, 8, False, 2, 20.0]
    folder = unpack_checkpoint("phi3small-tiny", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    changes = {"gegelu_limit": None, "blocksparse_homo_head_pattern": True, "dense_attention_every_n_layers": None}
    (folder / "config.json").write_text(json.dumps(config | changes))
    header = read_header(convert(folder, tmp_path / "other.gguf", outtype="bf16").path)
    assert [header.get(f"phidelity.phi3small.{name}") for name in names] == [64, 16, 8, True, 0, None]


def test_masked_tokens_are_the_dummies(converted):
    masked = read_header(converted.path).get("phidelity.masked_tokens").tolist()
    assert masked == json.loads((REFERENCES / "manifest.json").read_text())["dummy_token_indices"]
    assert masked == masked_tokens(1024)
    real = masked_tokens(100352)
    assert len(real) == 91 and real[:5] == [100256, 100258, 100259, 100260, 100264] and real[-1] == 100351


def test_the_chat_gets_the_ids_of_the_reference(converted):
    cases = json.loads((REFERENCES / "manifest.json").read_text())["cases"]
    header = read_header(converted.path)
    assert not header.get("tokenizer.ggml.add_bos_token")
    assert "phi-3" not in header.text("general.name").lower()
    with vocabulary_of(converted.path) as vocabulary:
        for case in (case for case in cases if "text" in case):
            expected = np.load(REFERENCES / case["file"])["input_ids"].ravel().tolist()
            assert llama_tokens(vocabulary, case["text"], special=True) == expected


def test_the_vocabulary_is_that_of_the_hub(checkpoint):
    vocabulary = load_vocabulary(Checkpoint(checkpoint), 1024)
    specials = json.loads((checkpoint / "tiny_special_tokens.json").read_text())["special_tokens"]
    assert {token.content: token.id for token in vocabulary.added_tokens} == specials
    assert vocabulary.special_ids == {"bos": 929, "eos": 929, "padding": 929, "eot": 938}
    assert vocabulary.stop_ids == (929, 935, 938)
    assert "<|assistant|>" in vocabulary.chat_template


@pytest.mark.parametrize("content", [b"", b"nonsense", b"IQ== x", b"IQ== 5", b"IQ== 0 1"])
def test_damaged_ranks_are_named(tmp_path, content):
    (tmp_path / "cl100k_base.tiktoken").write_bytes(content)
    with pytest.raises(ConversionError, match="holds no ranks"):
        read_tiktoken(tmp_path / "cl100k_base.tiktoken")


def test_ranks_become_merges(tmp_path):
    tokens = [bytes([byte]) for byte in range(256)] + [b"ab", b"cd", b"abcd", b" a"]
    lines = (base64.b64encode(token) + f" {rank}\n".encode() for rank, token in enumerate(tokens))
    (tmp_path / "x.tiktoken").write_bytes(b"".join(lines))
    pieces = read_tiktoken(tmp_path / "x.tiktoken")
    assert pieces.merges == ("a b", "c d", "ab cd", "Ġ a")
    assert pieces.tokens[256:] == ["ab", "cd", "abcd", "Ġa"]
    assert [token.id for token in pieces.added_tokens] == list(range(260, 260 + len(SPECIAL_TOKENS)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu', but gegelu"),
        ({"rope_position_scale": 0.5}, "rope_position_scale = 0.5"),
        ({"blocksparse_vert_stride": 0}, "blocksparse_vert_stride = 0"),
        ({"gegelu_limit": "twenty"}, "gegelu_limit = 'twenty'"),
        ({"ff_intermediate_size": 300}, r"\(600, 128\)"),
    ],
)
def test_wrong_settings_are_named(tmp_path, change, reason):
    folder = unpack_checkpoint("phi3small-tiny", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ConversionError, match=reason):
        convert(folder, tmp_path / "m.gguf", outtype="bf16")
