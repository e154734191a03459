"""Test the client against workers that behave and workers that do not."""

import queue
import time

import pytest

from engine.client import EngineClient
from engine.errors import EngineError
from engine.protocol import Done, Failed, Load, Ping, Token
from tests.helpers.workers import Recorder, ask, fake_worker


@pytest.fixture
def start():
    clients = []

    def start_client(behaviour, **options):
        clients.append(EngineClient(fake_worker(behaviour), **options))
        return clients[-1]

    yield start_client
    for client in clients:
        client.close(1.0)


def chat_with(client, recorder=None):
    recorder = recorder or Recorder()
    client.call(Load("model.gguf"))
    client.submit(ask("hi"), recorder)
    return recorder


def test_an_answer_arrives_in_order_and_ends_once(start):
    ready = queue.SimpleQueue()
    client = start("answers", on_ready=ready.put)
    recorder = chat_with(client)
    assert recorder.wait().result.text == "ab"
    assert recorder.text.startswith("ab")
    assert len(recorder.terminal_events) == 1
    assert ready.get(timeout=30).versions == {"fake": "1"}
    assert client.ready is not None


def test_call_returns_the_result_and_raises_the_failure(start):
    client = start("answers")
    with pytest.raises(EngineError) as failure:
        client.call(ask("hi"))
    assert failure.value.code == "no_model"
    assert client.call(Load("model.gguf")).model.name == "Fake"
    assert client.call(Ping()) is None


def test_garbage_between_the_events_is_passed_over(start):
    recorder = chat_with(start("garbage"))
    assert recorder.wait().result.text == "ab"


def test_a_second_ending_is_not_delivered(start):
    client = start("answers twice")
    recorder = chat_with(client)
    recorder.wait()
    client.call(Ping())
    assert len(recorder.terminal_events) == 1
    assert isinstance(recorder.events[-1], Done)


def test_death_fails_every_open_request_with_the_last_words(start):
    ends = queue.SimpleQueue()
    client = start("dies", on_exit=ends.put)
    waiting = Recorder()
    recorder = chat_with(client)
    client.submit(ask("next"), waiting)
    for request in (recorder, waiting):
        end = request.wait()
        assert isinstance(end, Failed)
        assert end.code == "worker_died"
        assert "last words" in end.details
        assert "status 7" in end.message
        assert end.remedy
    assert recorder.text.startswith("a")
    assert ends.get(timeout=30).code == "worker_died"


def test_a_request_to_a_dead_worker_fails_at_once(start):
    client = start("dies at start")
    first = Recorder()
    client.submit(Ping(), first)
    assert first.wait().code == "worker_died"
    second = Recorder()
    client.submit(Ping(), second)
    assert second.ended.is_set()
    assert second.events[-1].code == "worker_died"


def test_an_abort_is_told_in_words(start):
    assert "internal check" in chat_with(start("aborts")).wait().message


def test_a_worker_that_ignores_a_cancel_is_killed(start):
    client = start("hangs", cancel_patience=0.2)
    client.call(Load("model.gguf"))
    seen = queue.SimpleQueue()
    recorder = Recorder(seen.put)
    request_id = client.submit(ask("hi"), recorder)
    assert seen.get(timeout=30) == Token(request_id, "a")
    client.cancel(request_id)
    assert recorder.wait().code == "worker_died"


def test_cancelling_an_ended_request_does_nothing(start):
    client = start("answers")
    client.call(Load("model.gguf"))
    recorder = Recorder()
    request_id = client.submit(ask("hi"), recorder)
    recorder.wait()
    client.cancel(request_id)
    assert client.call(Ping()) is None


def test_close_ends_a_worker_that_hears_nothing_and_is_not_a_death():
    ends = []
    client = EngineClient(fake_worker("deaf"), on_exit=ends.append)
    while client.ready is None:
        time.sleep(0.01)
    client.close(0.3)
    assert ends == [None]
    client.close(0.3)


def test_a_fault_of_a_callback_is_reported_and_the_events_go_on(start, monkeypatch):
    faults = queue.SimpleQueue()
    monkeypatch.setattr("sys.excepthook", lambda kind, error, trace: faults.put(error))

    def fail(event):
        raise ValueError("no")

    client = start("answers")
    client.submit(Ping(), fail)
    assert client.call(Ping()) is None
    assert str(faults.get(timeout=30)) == "no"
    client.call(Load("model.gguf"))
    with pytest.raises(ValueError, match="no"):
        client.call(ask("hi"), fail)


def test_another_protocol_is_refused(start):
    ends = queue.SimpleQueue()
    start("speaks another protocol", on_exit=ends.put)
    end = ends.get(timeout=30)
    assert end.code == "worker_died"
    assert "protocol 99" in end.message


def test_a_worker_that_cannot_start_is_a_known_error():
    with pytest.raises(EngineError) as failure:
        EngineClient(["/nonexistent/worker"])
    assert failure.value.code == "worker_unavailable"
