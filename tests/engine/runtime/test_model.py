"""Test loading: what a good file says, and what is said of a bad one."""

import shutil
import sys

import numpy as np
import pytest

from converter.convert import convert
from engine.errors import EngineError
from engine.protocol import Adapter, Count, Load, Logits, Message
from engine.runtime import open_model as opening
from engine.runtime.cancellation import Cancellation
from engine.runtime.read_ahead import read_ahead
from engine.runtime.session import Session
from tests.helpers.checkpoints import make_phi3
from tests.helpers.logits import reference_logits, relative_error


def failure_of(native_log, path, **options):
    with pytest.raises(EngineError) as failure:
        Session(native_log).load(Load(str(path), **options), Cancellation(), lambda fraction: None)
    assert failure.value.message.endswith(".")
    assert failure.value.remedy
    return failure.value


def test_a_model_says_what_it_is(native_log, tiny):
    session = Session(native_log)
    fractions = []
    result = session.load(Load(str(tiny[1]), context=100, threads=2), Cancellation(), fractions.append)
    session.unload()
    model = result.model
    assert (model.architecture, model.quantization, model.context_train, model.context) == ("phi3", "F32", 4096, 100)
    assert (model.threads, model.gpu_layers, model.has_template) == (2, 0, True)
    assert model.size_bytes == 4 * model.parameters
    assert fractions[-1] == 1.0
    assert fractions == sorted(fractions)


def test_a_file_is_read_ahead_in_steps_that_can_be_stopped(tiny):
    fractions = []
    read_ahead(tiny[1], Cancellation(), fractions.append)
    assert fractions == sorted(fractions)
    cancellation = Cancellation()
    cancellation.request()
    if sys.platform == "linux":
        with pytest.raises(EngineError):
            read_ahead(tiny[1], cancellation, fractions.append)


def test_the_context_is_at_most_what_the_model_was_trained_for(load_session, tiny):
    assert load_session(tiny[1], context=99999).opened.context.limit == 4096
    assert load_session(tiny[1]).opened.context.limit == 4096


def test_the_vocabulary_ends_answers_where_phi_3_does(load_session, tiny):
    vocabulary = load_session(tiny[1]).opened.model.vocabulary
    ends = [token for token in (1, 2, 31999, 32000, 32001, 32006, 32007, 32010) if vocabulary.is_end(token)]
    assert ends == [2, 32000, 32001, 32007]


def test_the_stop_ids_of_the_checkpoint_end_answers(load_session, tiny, tmp_path):
    folder = tmp_path / "own-stops"
    shutil.copytree(tiny[0], folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": [32000, 32003]}')
    path = convert(folder, tmp_path / "own-stops.gguf", outtype="bf16").path
    assert load_session(path).opened.model.vocabulary.is_end(32003)
    assert not load_session(tiny[1]).opened.model.vocabulary.is_end(32003)


def test_pieces_join_to_the_text(load_session, tiny, starter):
    text = "Grüße, 漢字 and 👩‍👩‍👧 \x00!"
    for path in (tiny[1], starter):
        vocabulary = load_session(path).opened.model.vocabulary
        joined = b"".join(vocabulary.piece(token) for token in vocabulary.encode(text)).decode()
        assert joined.removeprefix(" " if vocabulary.adds_space else "") == text


@pytest.mark.parametrize("cut", [3, 100, 5000, 1_000_000, 30_000_000])
def test_a_truncated_file(native_log, tiny, tmp_path, cut):
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny[1].read_bytes()[:cut])
    assert failure_of(native_log, path).code == "model_invalid"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"GGUF", "cut off"),
        (b"GGUF" + b"\xff" * 200, "version"),
        (b"PK\x03\x04" + b"x" * 99, "PyTorch"),
        (b"\x10\0\0\0\0\0\0\0" + b'{"a":{}}' * 9, "safetensors"),
        (b"<html>not found</html>", "web page"),
    ],
)
def test_a_mislabelled_file(native_log, tmp_path, content, words):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    error = failure_of(native_log, path)
    assert error.code == "model_invalid"
    assert words in error.message


def test_no_file_and_a_directory(native_log, tmp_path):
    assert failure_of(native_log, tmp_path / "none.gguf").code == "model_not_found"
    assert failure_of(native_log, tmp_path).code == "model_invalid"


def replaced(path, out, old, new):
    """Write a file with one text of the header replaced by another of the same length."""
    data = path.read_bytes()
    assert len(old) == len(new)
    assert old in data[:2_000_000]
    out.write_bytes(data.replace(old, new))
    return out


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        (b"phi3", b"phi9", "model_unsupported", "'phi9'"),
        (b"phi3.block_count", b"phi3.black_count", "model_invalid", "phi3.block_count"),
        (b"blk.1.attn_norm.weight", b"blk.1.attn_none.weight", "model_invalid", "'blk.1.attn_norm.weight'"),
        (b"tokenizer.ggml.model", b"tokenizer.ggml.madel", "model_invalid", "tokenizer.ggml.model"),
    ],
)
def test_a_file_that_is_not_what_it_says(native_log, tiny, tmp_path, old, new, code, words):
    error = failure_of(native_log, replaced(tiny[1], tmp_path / "m.gguf", old, new))
    assert error.code == code
    assert words in error.message


def test_a_model_without_a_tokenizer_understands_ids_only(load_session, tmp_path):
    folder = make_phi3(tmp_path / "model", tokenizer=False, vocab_size=500, pad_token_id=0, hidden_size=120)
    session = load_session(convert(folder, tmp_path / "m.gguf", outtype="f32").path)
    ids, out = [3, 499, 0, 17], tmp_path / "logits.npz"
    session.logits(Logits(str(out), tokens=tuple(ids)), Cancellation(), lambda *_: None)
    assert relative_error(np.load(out)["logits"][None], reference_logits(folder, ids)[-1:]) < 1e-5
    for ask in (session.count, lambda request: session.logits(Logits("x", messages=request.messages), None, None)):
        with pytest.raises(EngineError) as failure:
            ask(Count((Message("user", "Hi"),)))
        assert (failure.value.code, "no tokenizer" in failure.value.message) == ("model_invalid", True)


def test_a_file_without_a_context_length(native_log, tiny, tmp_path):
    data, key = tiny[1].read_bytes(), b"phi3.context_length"
    value = data.index(key) + len(key) + 4  # after the type
    (tmp_path / "m.gguf").write_bytes(data[:value] + bytes(4) + data[value + 4 :])
    assert failure_of(native_log, tmp_path / "m.gguf").code == "model_invalid"


def test_a_model_larger_than_the_memory(native_log, tiny, monkeypatch):
    monkeypatch.setattr(opening, "free_memory", lambda: 1_000_000)
    assert failure_of(native_log, tiny[1]).code == "out_of_memory"


def test_adapters_that_do_not_fit(native_log, tiny, tmp_path):
    assert failure_of(native_log, tiny[1], adapters=(Adapter(str(tmp_path / "none.gguf")),)).code == "model_not_found"
    shutil.copy(tiny[1], tmp_path / "other.gguf")
    assert failure_of(native_log, tiny[1], adapters=(Adapter(str(tmp_path / "other.gguf")),)).code == "model_invalid"


@pytest.mark.parametrize("moment", [0.0, 0.41, 0.99])
def test_a_cancelled_load_leaves_no_model(native_log, tiny, moment):
    session, cancellation = Session(native_log), Cancellation()

    def cancel(fraction):
        if fraction >= moment:
            cancellation.request()

    with pytest.raises(EngineError) as failure:
        session.load(Load(str(tiny[1])), cancellation, cancel)
    assert failure.value.code == "cancelled"
    with pytest.raises(EngineError) as failure:
        session.count(Count((Message("user", "Hi"),)))
    assert failure.value.code == "no_model"


def test_a_failed_load_leaves_no_model(load_session, tiny, tmp_path):
    session = load_session(tiny[1])
    with pytest.raises(EngineError):
        session.load(Load(str(tmp_path)), Cancellation(), lambda fraction: None)
    with pytest.raises(EngineError) as failure:
        session.count(Count((Message("user", "Hi"),)))
    assert failure.value.code == "no_model"


def test_logits_are_written_and_bad_ids_refused(load_session, tiny, tmp_path):
    session = load_session(tiny[1], context=20)
    out = tmp_path / "logits.npz"
    result = session.logits(Logits(str(out), tokens=(1, 2, 3)), Cancellation(), lambda *progress: None)
    assert result.tokens == 3
    with np.load(out) as written:
        assert written["logits"].shape == (32064,)
        assert written["logits"].dtype == np.float32
        assert written["tokens"].tolist() == [1, 2, 3]
    for request, code in (
        (Logits(str(out), tokens=(40000,)), "bad_request"),
        (Logits(str(out), tokens=(-1,)), "bad_request"),
        (Logits(str(out), tokens=(5,) * 21), "prompt_too_long"),
        (Logits(str(tmp_path / "none" / "x.npz"), tokens=(5,)), "bad_request"),
    ):
        with pytest.raises(EngineError) as failure:
            session.logits(request, Cancellation(), lambda *progress: None)
        assert failure.value.code == code
