"""Replay docs/engine-protocol.md, and refuse what it does not allow."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import protocol
from engine.errors import EXIT_STATUS, EngineError
from engine.protocol import (
    Adapter,
    Cancel,
    Chat,
    ChatResult,
    Count,
    CountResult,
    Device,
    Done,
    Failed,
    Load,
    LoadedModel,
    LoadResult,
    Logits,
    LogitsResult,
    Message,
    Notice,
    Ping,
    Progress,
    Ready,
    Sampling,
    Shutdown,
    Token,
    Unload,
    UseAdapters,
)
from engine.wire import RequestError, decode_event, decode_request, encode_event, encode_request

HELLO = (Message("user", "Hello"),)
MODEL = LoadedModel("Starter", "phi3", "Q4_1", 1, 2, 3, 4, True, "CPU", 0, 1, 2)
REQUESTS = [
    Load("m.gguf", 4096, 1, 2, -1, (Adapter("a.gguf", 0.5),), "m.mmproj.gguf", "cache"),
    Load("m.gguf", runtime="pytorch"),
    Unload(),
    UseAdapters((Adapter("a.gguf", 0.5), Adapter("b.gguf"))),
    UseAdapters(()),
    Chat(HELLO, Sampling(seed=3), 5, ("END",)),
    Chat((Message("user", "What is it?", ("a.png", "b.png")),), num_crops=4),
    Count(HELLO, 16),
    Logits("out.npz", tokens=(1, 2)),
    Logits("out.npz", messages=HELLO),
    Cancel(3),
    Ping(),
    Shutdown(),
]
EVENTS = [
    Ready(1, {"phidelity": "0.1.0"}, (Device("CPU", "cpu", 2, 1),)),
    Progress(1, "load", 0.5, 1.0),
    Token(1, "é\n"),
    Notice(1, "turns_dropped", "Some.", 2),
    Notice(1, "approximate", "From token 1,024 on."),
    Done(1),
    Done(1, LoadResult(MODEL, 3.5)),
    Done(1, ChatResult("stop", "hi", 1, 0, 2, 3, 4, 5.0, 6.0, 7.0, 8.0)),
    Done(1, CountResult(1, 2)),
    Done(1, LogitsResult(9)),
    Failed(None, "bad_request", "No.", "Do.", "Why."),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_requests_come_back_as_they_went(request_):
    line = encode_request(7, request_)
    assert line.count(b"\n") == 1
    assert decode_request(line) == (7, request_)


@pytest.mark.parametrize("event", EVENTS)
def test_events_come_back_as_they_went(event):
    line = encode_event(event)
    assert line.count(b"\n") == 1
    assert decode_event(line) == event


def test_the_line_of_a_request_is_as_documented():
    line = (
        b'{"id":2,"op":"chat","messages":[{"role":"user","content":"Hi"}],"sampling":{"temperature":0},"max_tokens":64}'
    )
    assert decode_request(line) == (2, Chat((Message("user", "Hi"),), Sampling(temperature=0.0), 64))


@pytest.mark.parametrize(
    "fields",
    [
        {"op": "fly"},
        {"op": ["chat"]},
        {"op": "load"},
        {"op": "load", "path": ""},
        {"op": "load", "path": 3},
        {"op": "load", "path": "m", "context": -1},
        {"op": "load", "path": "m", "runtime": "jax"},
        {"op": "load", "path": "m", "context": True},
        {"op": "load", "path": "m", "context": 1.5},
        {"op": "load", "path": "m", "colour": "red"},
        {"op": "load", "path": "m", "adapters": [{"path": "a", "scale": "big"}]},
        {"op": "load", "path": "m", "adapters": [{"path": ""}]},
        {"op": "adapters"},
        {"op": "adapters", "adapters": "a.gguf"},
        {"op": "adapters", "adapters": [{"path": "a", "scale": 101}]},
        {"op": "chat"},
        {"op": "chat", "messages": []},
        {"op": "chat", "messages": "hi"},
        {"op": "chat", "messages": [{"role": "king", "content": ""}]},
        {"op": "chat", "messages": [{"role": "user"}]},
        {"op": "chat", "messages": [{"role": "user", "content": ""}], "sampling": {"temperature": -1}},
        {"op": "chat", "messages": [{"role": "user", "content": ""}], "sampling": {"temperature": 10**400}},
        {"op": "chat", "messages": [{"role": "user", "content": ""}], "sampling": {"seed": 2**40}},
        {"op": "chat", "messages": [{"role": "user", "content": ""}], "stop": [""]},
        {"op": "chat", "messages": [{"role": "user", "content": "", "pictures": [""]}]},
        {"op": "chat", "messages": [{"role": "assistant", "content": "", "pictures": ["a.png"]}]},
        {"op": "chat", "messages": [{"role": "user", "content": ""}], "num_crops": 65},
        {"op": "count", "messages": [{"role": "user", "content": ""}], "num_crops": -1},
        {"op": "logits", "out": "x", "messages": [{"role": "user", "content": ""}], "pictures": ["a.png"]},
        {"op": "logits", "out": "x"},
        {"op": "logits", "out": "x", "tokens": []},
        {"op": "logits", "out": "x", "tokens": [2**70]},
        {"op": "cancel"},
    ],
)
def test_bad_requests_are_refused_with_their_id(fields):
    with pytest.raises(RequestError) as failure:
        decode_request(json.dumps({"id": 5, **fields}).encode())
    assert failure.value.request_id == 5
    assert failure.value.code == "bad_request"
    assert failure.value.message.endswith(".")


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"{", b"\xff", b"null", b'{"op":"ping"}', b'{"id":"1","op":"ping"}', b'{"id":1,"op":"ping","x":NaN}'],
)
def test_lines_without_a_readable_id_are_refused(line):
    with pytest.raises(RequestError) as failure:
        decode_request(line)
    assert failure.value.request_id in (None, 1)


def test_a_line_over_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr("engine.wire.MAX_LINE_BYTES", 30)
    with pytest.raises(RequestError):
        decode_request(encode_request(1, Load("x" * 40)))


def test_deep_nesting_is_refused():
    with pytest.raises(RequestError):
        decode_request(b'{"id":' + b"[" * 200_000)


@given(st.text())
def test_any_text_survives(text):
    _, request = decode_request(encode_request(1, Count((Message("user", text),))))
    assert request.messages[0].content == text


def test_half_a_surrogate_pair_does_not_stop_the_stream():
    _, request = decode_request(encode_request(1, Count((Message("user", "a\ud83d"),))))
    assert request.messages[0].content == "a?"


@given(st.binary())
def test_random_bytes_are_refused_in_words(line):
    for decode in (decode_request, decode_event):
        with pytest.raises(EngineError):
            decode(line)


def test_every_request_and_event_has_a_name():
    assert set(protocol.REQUESTS.values()) == {type(request) for request in REQUESTS}
    assert set(protocol.EVENTS.values()) == {type(event) for event in EVENTS}


def test_errors_keep_their_four_parts():
    error = EngineError("model_invalid", "No.", "Do.", "Why.")
    assert Failed.from_error(1, error).to_error().__dict__ == error.__dict__
    assert error.exit_status == 3
    assert EngineError("something_else", "No.").exit_status == 1


def test_the_document_names_every_code_and_field():
    text = Path("docs/engine-protocol.md").read_text("utf-8")
    fields = {field.name for kind in (LoadedModel, ChatResult, Load, Sampling) for field in dataclasses.fields(kind)}
    names = [*EXIT_STATUS, *protocol.REQUESTS, *fields]
    assert [name for name in names if f"`{name}`" not in text and name not in text] == []
