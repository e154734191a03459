"""Phi-3-small on PyTorch through a real worker: answers, later turns, stops, lines, and llama.cpp beside it."""

import queue

import numpy as np
import pytest
import torch

from converter.convert import convert
from converter.gguf_file import read_header
from engine.client import EngineClient
from engine.errors import EngineError
from engine.protocol import Chat, Count, Done, Failed, Load, Logits, Message, Notice, Progress, Sampling, Token
from engine.runtime.model_file import ModelFile
from engine.runtime.vocabulary_file import VocabularyFile
from engine.torch_runtime.cache import Cache
from engine.torch_runtime.phi3small import Phi3Small
from tests.helpers.fixtures import DATA
from tests.helpers.quantizer import ggml_quantizer
from tests.helpers.workers import Recorder, ask

REFERENCES = DATA / "phi3small-tiny" / "ref"
# Left alone, random weights repeat the last token for ever.
PENALTY, REMEMBERED = 100.0, 4096
GREEDY = Sampling(temperature=0, presence_penalty=PENALTY, penalty_last_n=REMEMBERED)
QUESTION = "Why is the sky blue?"


@pytest.fixture(scope="module")
def client():
    """Give a real worker."""
    worker = EngineClient()
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def small_client(client, small):
    """Give it with the model loaded on PyTorch."""
    client.call(Load(str(small[1]), runtime="pytorch"))
    return client


def relative_errors(client, case, tmp_path, first=0):
    """Ask for the logits at every position of a reference from `first` on; give the relative error of each."""
    reference = np.load(REFERENCES / f"{case}.npz")
    ids = reference["input_ids"].ravel().tolist()
    errors = []
    for position, expected in zip(reference["positions"], reference["logits"], strict=True):
        if position >= first:
            client.call(Logits(str(tmp_path / "out.npz"), tokens=tuple(ids[: position + 1])))
            with np.load(tmp_path / "out.npz") as out:
                errors.append(np.linalg.norm(out["logits"] - expected) / np.linalg.norm(expected))
    return errors


@pytest.mark.parametrize("case", ["chat_en", "chat_sys", "seq200", "seq3000"])
def test_every_vector_of_the_reference_is_met(small_client, case, tmp_path):
    errors = relative_errors(small_client, case, tmp_path)
    assert len(errors) >= 4
    assert max(errors) < 1e-5


def greedy_tokens(small, prompt, tokens):
    """Write an answer with a plain loop over the checkpoint; give its tokens."""
    checkpoint, path = small
    model, cache = Phi3Small.load(checkpoint, torch.float32), Cache()
    masked = read_header(path).get("phidelity.masked_tokens").astype(np.int64)
    written, new = [], prompt
    for _ in range(tokens):
        logits = model.evaluate(new, cache)[0].numpy().copy()
        logits[masked] = -np.inf
        logits[sorted({*prompt, *written})] -= PENALTY
        new = [int(logits.argmax())]
        written += new
    return written


def test_a_greedy_answer_is_that_of_a_plain_loop(small_client, small, native_log):
    vocabulary_file = VocabularyFile(ModelFile.read(small[1]), native_log)
    vocabulary = vocabulary_file.vocabulary
    prompt = vocabulary.encode(f"<|endoftext|><|user|>\n{QUESTION}<|end|>\n<|assistant|>\n", parse_special=True)
    expected = greedy_tokens(small, prompt, 24)
    assert len(set(expected)) == 24 and not any(vocabulary.is_end(token) for token in expected)
    text = b"".join(map(vocabulary.piece, expected)).decode("utf-8", "replace")
    vocabulary_file.close()
    recorder = Recorder()
    small_client.submit(ask(QUESTION, sampling=GREEDY, max_tokens=24), recorder)
    result = recorder.wait().result
    assert (result.finish_reason, result.prompt_tokens, result.completion_tokens) == ("length", len(prompt), 24)
    assert result.text == text == recorder.text
    assert small_client.call(Count((Message("user", QUESTION),))).prompt_tokens == len(prompt)


def test_a_second_turn_evaluates_only_new_tokens(small_client):
    first = small_client.call(ask("Name one colour.", sampling=GREEDY, max_tokens=12))
    turns = (Message("user", "Name one colour."), Message("assistant", first.text), Message("user", "Another?"))
    recorder = Recorder()
    small_client.submit(Chat(turns, GREEDY, 4), recorder)
    second = recorder.wait().result
    assert second.cached_tokens >= first.prompt_tokens
    evaluated = {event.total for event in recorder.events if isinstance(event, Progress)}
    assert evaluated == {second.prompt_tokens - second.cached_tokens}


def test_a_seed_repeats_an_answer(small_client):
    texts = [
        small_client.call(ask(QUESTION, sampling=Sampling(1.2, seed=seed), max_tokens=12)).text for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def cancel_after(client, request, kind):
    """Cancel a request at its first event of a kind; give its recorder."""
    events = queue.SimpleQueue()
    recorder = Recorder(events.put)
    request_id = client.submit(request, recorder)
    while not isinstance(event := events.get(timeout=120), kind):
        assert not isinstance(event, Done | Failed), event
    client.cancel(request_id)
    recorder.wait()
    return recorder


def test_stopping_while_the_prompt_is_read_and_while_the_answer_is_written(small_client):
    before = small_client.call(ask(QUESTION, max_tokens=8)).text
    reading = cancel_after(small_client, ask("word " * 3000, max_tokens=8), Progress).events[-1].result
    assert (reading.finish_reason, reading.text, reading.completion_tokens) == ("cancelled", "", 0)
    assert 0 <= reading.context_tokens < reading.prompt_tokens
    writing = cancel_after(small_client, ask("Tell a story about the sea.", max_tokens=4000), Token).events[-1].result
    assert writing.finish_reason == "cancelled"
    assert writing.completion_tokens < 4000
    assert small_client.call(ask(QUESTION, max_tokens=8)).text == before


def test_a_conversation_crosses_the_line_of_long_rope(client, small_longrope, tmp_path):
    loaded = client.call(Load(str(small_longrope[1]))).model
    assert (loaded.runs_on, loaded.context) == ("CPU, PyTorch (exact)", 131072)
    assert max(relative_errors(client, "longrope_seq200", tmp_path)) < 1e-5
    assert max(relative_errors(client, "longrope_seq3000", tmp_path, first=1024)) < 1e-4
    counted = client.call(Count((Message("user", "a" + " a" * 900),))).prompt_tokens
    fitting = "a" + " a" * (900 + 1020 - counted)
    recorder = Recorder()
    client.submit(ask(fitting, max_tokens=8), recorder)
    result = recorder.wait().result
    assert (result.prompt_tokens, result.context_tokens) == (1020, 1027)
    stages = [(event.stage, event.total) for event in recorder.events if isinstance(event, Progress)]
    assert set(stages) == {("prefill", 1020), ("reread", 1025)}


def test_llama_cpp_is_exact_but_for_the_clamps_and_says_where_it_ends(client, small, tmp_path):
    checkpoint, path = small
    loaded = client.call(Load(str(path), runtime="llama.cpp")).model
    assert loaded.faithful_context == 1024
    ids = np.load(REFERENCES / "seq3000.npz")["input_ids"].ravel()[:1024].tolist()
    reference = Phi3Small.load(checkpoint, torch.float32)
    object.__setattr__(reference.config, "gegelu_limit", None)
    expected = reference.evaluate(ids, Cache(), torch.tensor([511, 1023])).numpy()
    for length, row in zip((512, 1024), expected, strict=True):
        client.call(Logits(str(tmp_path / "out.npz"), tokens=tuple(ids[:length])))
        with np.load(tmp_path / "out.npz") as out:
            assert np.linalg.norm(out["logits"] - row) / np.linalg.norm(row) < 1e-4
    recorder = Recorder()
    client.submit(ask("a" + " a" * 990, max_tokens=60), recorder)
    recorder.wait()
    kinds = [type(event) for event in recorder.events if not isinstance(event, Progress)]
    (notice,) = [event for event in recorder.events if isinstance(event, Notice)]
    assert notice.code == "approximate"
    assert "from token 1,024 on" in notice.message
    # It comes in the middle of the answer, where that becomes true.
    assert kinds[0] is Token and kinds[-2] is Token


def test_packed_files_answer_in_bfloat16(client, small, tmp_path):
    path = convert(small[0], tmp_path / "m.gguf", outtype="q4_k_m", quantizer=ggml_quantizer).path
    loaded = client.call(Load(str(path))).model
    assert (loaded.runs_on, loaded.quantization) == ("CPU, PyTorch (exact)", "Q4_K_M")
    assert client.call(ask(QUESTION, max_tokens=5)).completion_tokens == 5


def test_damaged_weights_leave_the_worker_alive(client, small, tmp_path):
    data = bytearray(small[1].read_bytes())
    place = data.index(b"blk.1.ffn_up.bias")
    data[place : place + 17] = b"blk.1.ffn_xx.bias"
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(EngineError, match=r"lacks the weights 'blk.1.ffn_up.bias'"):
        client.call(Load(str(path)))
    assert client.call(Load(str(small[1]))).model.faithful_context == 0
