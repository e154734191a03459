"""Test the real worker: answers, stops, deaths, and what it says to nonsense."""

import contextlib
import json
import queue
import subprocess
import sys

import numpy as np
import psutil
import pytest

from converter.lora import convert_lora
from engine.busy import default_busy_file, is_busy
from engine.client import EngineClient
from engine.errors import EngineError
from engine.launch import child_environment, python_command
from engine.protocol import (
    Adapter,
    Chat,
    ChatResult,
    Count,
    Done,
    Failed,
    Load,
    Logits,
    Message,
    Notice,
    Ping,
    Progress,
    Sampling,
    Shutdown,
    Token,
    Unload,
    UseAdapters,
)
from engine.supervisor import Supervisor
from engine.wire import encode_request
from tests.engine.vision.vectors import FOLDER
from tests.helpers.adapters import make_adapter
from tests.helpers.workers import Recorder, ask

FRUITS = "Name three fruits."
GREEDY = Sampling(temperature=0)


def start_recorded(client, request):
    """Submit a request and give its recorder, a queue of its events and its id."""
    events = queue.SimpleQueue()
    recorder = Recorder(events.put)
    return recorder, events, client.submit(request, recorder)


def wait_for_event(events, kind):
    while not isinstance(event := events.get(timeout=120), kind):
        assert not isinstance(event, Done | Failed), event
    return event


def test_the_starter_answers(starter_client):
    recorder = Recorder()
    starter_client.submit(ask(FRUITS), recorder)
    result = recorder.wait().result
    assert isinstance(result, ChatResult)
    assert result.finish_reason == "stop"
    assert result.text == "1. Bananas\n2. Oranges\n3. Grapes"
    assert "".join(event.text for event in recorder.events if isinstance(event, Token)) == result.text
    assert result.prompt_tokens + result.completion_tokens == result.context_tokens
    assert result.context == 1024
    assert 0 < result.prefill_ms <= result.first_token_ms
    assert result.tokens_per_second > 0


def test_a_second_turn_evaluates_only_new_tokens(starter_client):
    first = starter_client.call(ask("Name one colour."))
    turns = (Message("user", "Name one colour."), Message("assistant", first.text), Message("user", "Another?"))
    recorder = Recorder()
    starter_client.submit(Chat(turns, GREEDY, 20), recorder)
    second = recorder.wait().result
    assert second.cached_tokens >= first.prompt_tokens + first.completion_tokens - 1
    evaluated = {event.total for event in recorder.events if isinstance(event, Progress)}
    assert evaluated == {second.prompt_tokens - second.cached_tokens}


def test_counting_gives_the_prompts_length(starter_client):
    messages = (Message("user", FRUITS),)
    counted = starter_client.call(Count(messages))
    assert counted.context == 1024
    assert counted.prompt_tokens == starter_client.call(ask(FRUITS, max_tokens=1)).prompt_tokens


def test_stopping_in_the_middle_keeps_what_was_written(starter_client):
    recorder, events, request_id = start_recorded(starter_client, ask("Tell a very long story about the sea."))
    wait_for_event(events, Token)
    starter_client.cancel(request_id)
    result = recorder.wait().result
    assert result.finish_reason == "cancelled"
    assert result.text == recorder.text[: len(result.text)] != ""
    assert starter_client.call(ask(FRUITS)).text.startswith("1. Bananas")


def test_stopping_while_the_prompt_is_read(starter_client):
    recorder, events, request_id = start_recorded(starter_client, ask("word " * 900))
    wait_for_event(events, Progress)
    starter_client.cancel(request_id)
    result = recorder.wait().result
    assert (result.finish_reason, result.text, result.completion_tokens) == ("cancelled", "", 0)
    assert starter_client.call(ask(FRUITS)).text.startswith("1. Bananas")


def test_a_waiting_request_can_be_cancelled_and_a_ping_overtakes(starter_client):
    ends = queue.SimpleQueue()

    def submit(name, request):
        recorder = Recorder(lambda event: ends.put((name, event)) if isinstance(event, Done | Failed) else None)
        return recorder, starter_client.submit(request, recorder)

    first, first_id = submit("first", ask("Tell a very long story about the sea."))
    _, second_id = submit("second", ask(FRUITS))
    _, third_id = submit("third", Count((Message("user", FRUITS),)))
    starter_client.cancel(second_id)
    starter_client.cancel(third_id)
    submit("ping", Ping())
    assert ends.get(timeout=120)[0] == "ping"
    assert not first.ended.is_set()
    starter_client.cancel(first_id)
    order = [ends.get(timeout=120) for _ in range(3)]
    assert [name for name, _ in order] == ["first", "second", "third"]
    assert order[1][1].result.finish_reason == "cancelled"
    assert order[2][1].code == "cancelled"


def test_a_stop_sequence_is_not_shown(starter_client):
    recorder = Recorder()
    starter_client.submit(ask(FRUITS, stop=("Oranges", "\n9")), recorder)
    result = recorder.wait().result
    assert (result.finish_reason, result.text) == ("stop", "1. Bananas\n2. ")
    assert "Or" not in "".join(event.text for event in recorder.events if isinstance(event, Token))


def test_the_number_of_tokens_can_be_bounded(starter_client):
    result = starter_client.call(ask(FRUITS, max_tokens=3))
    assert (result.finish_reason, result.completion_tokens) == ("length", 3)


def test_emoji_are_never_split(starter_client):
    recorder = Recorder()
    starter_client.submit(ask("Repeat: 😀 🎉 👩‍👩‍👧 é 漢字", max_tokens=40), recorder)
    text = recorder.wait().result.text
    pieces = [event.text for event in recorder.events if isinstance(event, Token)]
    assert "".join(pieces) == text
    assert any(ord(character) > 0xFFFF for character in text)
    # Where the bound cuts the answer there can be a part of a character.
    assert "\ufffd" not in text[:-1]


def test_a_seed_repeats_an_answer(starter_client):
    def answer(seed, **options):
        return starter_client.call(
            ask("Say something.", sampling=Sampling(1.5, seed=seed, **options), max_tokens=16)
        ).text

    assert answer(1) == answer(1)
    assert len({answer(seed) for seed in range(4)}) > 1
    assert answer(1, top_k=0, top_p=1.0, min_p=0.0) == answer(1, top_k=0, top_p=1.0, min_p=0.0)
    assert answer(5, top_k=1) == starter_client.call(ask("Say something.", max_tokens=16)).text


def test_penalties_change_a_repetition(starter_client):
    prompt = "Write the word yes twenty times."
    plain = starter_client.call(ask(prompt, max_tokens=40)).text
    for penalty in ({"repeat_penalty": 1.8}, {"frequency_penalty": 2.0}, {"presence_penalty": 2.0}):
        assert starter_client.call(ask(prompt, sampling=Sampling(0, **penalty), max_tokens=40)).text != plain


def test_old_turns_are_left_out_with_a_notice_and_long_ones_refused(starter):
    client = EngineClient()
    try:
        client.call(Load(str(starter), context=128))
        turns = [Message("user" if index % 2 == 0 else "assistant", "word " * 20) for index in range(9)]
        recorder = Recorder()
        client.submit(Chat(tuple(turns), GREEDY, 8), recorder)
        result = recorder.wait().result
        notices = [event for event in recorder.events if isinstance(event, Notice)]
        assert [notice.code for notice in notices] == ["turns_dropped"]
        assert notices[0].dropped_messages in (6, 8)
        assert result.prompt_tokens + result.completion_tokens <= 128
        with pytest.raises(EngineError) as failure:
            client.call(ask("word " * 200))
        assert failure.value.code == "prompt_too_long"
        full = client.call(ask("Tell a very long story about the sea."))
        assert (full.finish_reason, full.context_tokens) == ("length", 128)
    finally:
        client.close()


def test_requests_without_a_model_and_bad_files_leave_the_worker_alive(tmp_path):
    client = EngineClient()
    try:
        bad = tmp_path / "bad.gguf"
        bad.write_bytes(b"GGUF and nonsense")
        for request, code in (
            (ask(FRUITS), "no_model"),
            (Load(str(bad)), "model_invalid"),
            (Load(str(tmp_path / "none.gguf")), "model_not_found"),
            (Count((Message("user", "Hi"),)), "no_model"),
        ):
            with pytest.raises(EngineError) as failure:
                client.call(request)
            assert failure.value.code == code
        client.call(Unload())
        client.call(Ping())
    finally:
        client.close()


def test_a_worker_killed_in_the_middle_of_an_answer_is_replaced(starter):
    supervisor = Supervisor()
    try:
        supervisor.call(Load(str(starter), context=1024))
        recorder, events, _ = start_recorded(supervisor, ask("Tell a very long story about the sea."))
        wait_for_event(events, Token)
        psutil.Process(supervisor._client.process_id).kill()
        end = recorder.wait()
        assert end.code == "worker_died"
        # Windows does not tell who ended a process.
        assert ("ended unexpectedly" if sys.platform == "win32" else "killed") in end.message
        assert recorder.text
        assert supervisor.call(ask(FRUITS)).text == "1. Bananas\n2. Oranges\n3. Grapes"
    finally:
        supervisor.close()


def without_windows(path, out):
    """Mark no layer as having a sliding window, with which llama.cpp aborts the process."""
    data = bytearray(path.read_bytes())
    key = b"attention.sliding_window_pattern"
    values = data.index(key) + len(key) + 4 + 4 + 8  # type, type of the elements, their number
    assert data[values : values + 2] == b"\x01\x01"
    data[values : values + 2] = b"\x00\x00"
    out.write_bytes(data)
    return out


def test_a_native_abort_ends_only_the_worker(checkpoints, tmp_path):
    _, path = checkpoints("mini-4k", "mini-4k")
    bad = without_windows(path, tmp_path / "bad.gguf")
    supervisor = Supervisor()
    try:
        with pytest.raises(EngineError) as failure:
            supervisor.call(Load(str(bad)))
        assert failure.value.code == "worker_died"
        assert "internal check" in failure.value.message
        assert "GGML_ASSERT" in failure.value.details
        assert supervisor.call(Load(str(path))).model.architecture == "granite_swa"
    finally:
        supervisor.close()


def talk_raw(*lines, command=None):
    """Run a worker on lines and give its events, its log and its status."""
    ended = subprocess.run(
        command or python_command("engine.worker"),
        input=b"".join(line + b"\n" for line in lines),
        capture_output=True,
        env=child_environment(),
        timeout=120,
    )
    return [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr.decode(), ended.returncode


def test_nonsense_is_answered_and_the_end_of_the_input_ends_the_worker():
    lines = [b"nonsense", b"", b'{"id":1,"op":"fly"}', b'{"id":2,"op":"ping"}', b"\xff" * 10, b'{"op":"ping"}']
    events, _, status = talk_raw(*lines)
    assert status == 0
    assert events[0]["event"] == "ready"
    assert events[0]["devices"][0]["kind"] == "cpu"
    assert events[0]["versions"]["llama-cpp-python"]
    answers = [(event["id"], event["event"], event.get("code")) for event in events[1:]]
    assert answers == [
        (None, "error", "bad_request"),
        (None, "error", "bad_request"),
        (1, "error", "bad_request"),
        (2, "done", None),
        (None, "error", "bad_request"),
        (None, "error", "bad_request"),
    ]


def test_a_shutdown_cancels_what_is_open_and_is_answered_last(starter):
    requests = [Load(str(starter)), ask("Tell a very long story."), ask(FRUITS), Shutdown()]
    events, _, status = talk_raw(*(encode_request(index, request).strip() for index, request in enumerate(requests)))
    assert status == 0
    ends = [(event["id"], event["event"]) for event in events if event["event"] in ("done", "error")]
    assert [identifier for identifier, _ in ends] == [0, 1, 2, 3]
    assert ends[-1] == (3, "done")


def test_an_id_in_use_is_refused(starter):
    requests = [Load(str(starter)), Count((Message("user", "Hi"),))]
    events, _, _ = talk_raw(*(encode_request(5, request).strip() for request in requests))
    assert [event["id"] for event in events if event["event"] == "error" and event["code"] == "bad_request"] == [None]


def test_native_prints_do_not_reach_the_protocol():
    program = "import os; from engine.worker import *; Worker.run = lambda self: os.write(1, b'native'); main()"
    events, log, _ = talk_raw(command=[sys.executable, "-c", program])
    assert events == []
    assert "native" in log


def test_pictures_tell_their_progress_and_can_be_stopped(vision_model, tmp_path):
    picture = Message("user", "Describe it.", (str(FOLDER / "img0_640x480.png"),))
    client = EngineClient()
    try:
        model = client.call(Load(str(vision_model.path), picture_cache=str(tmp_path))).model
        assert model.num_crops == 4
        slow = Chat((picture,), GREEDY, 4, num_crops=64)
        recorder, events, request_id = start_recorded(client, slow)
        first = wait_for_event(events, Progress)
        assert (first.stage, first.done, first.total) == ("picture", 0, 64)
        client.cancel(request_id)
        assert recorder.wait().result.finish_reason == "cancelled" and not list(tmp_path.iterdir())
        recorder, _, _ = start_recorded(client, Chat((picture,), GREEDY, 4))
        assert recorder.wait().result.completion_tokens > 0
        reports = [event for event in recorder.events if isinstance(event, Progress)]
        assert {report.stage for report in reports} == {"picture", "prefill"}
        assert all(0 <= report.done <= report.total for report in reports)
        with pytest.raises(EngineError, match="not exist"):
            client.call(Chat((Message("user", "?", ("/none.png",)),), GREEDY, 4))
        assert client.call(Chat((picture,), GREEDY, 4)).cached_tokens > 757
    finally:
        client.close()


def test_adapters_are_switched_and_survive_a_death(tiny, tmp_path):
    """The supervisor loads the model again with the adapters that were in use, not those it was loaded with."""
    checkpoint, path = tiny
    adapter = convert_lora(make_adapter(tmp_path / "adapter", checkpoint), checkpoint, tmp_path / "adapter.gguf").path
    supervisor = Supervisor()

    def logits():
        supervisor.call(Logits(str(tmp_path / "logits.npz"), tokens=tuple(range(1000, 1020))))
        with np.load(tmp_path / "logits.npz") as arrays:
            return arrays["logits"]

    try:
        supervisor.call(Load(str(path), context=256))
        plain = logits()
        assert supervisor.call(UseAdapters((Adapter(str(adapter)),))) is None
        changed = logits()
        assert not np.allclose(changed, plain, atol=0.1)
        with pytest.raises(EngineError, match=r"no adapter none\.gguf"):
            supervisor.call(UseAdapters((Adapter(str(tmp_path / "none.gguf")),)))
        psutil.Process(supervisor._client.process_id).terminate()
        with contextlib.suppress(EngineError):
            supervisor.call(Ping())
        np.testing.assert_allclose(logits(), changed, atol=1e-4)
        supervisor.call(UseAdapters(()))
        np.testing.assert_allclose(logits(), plain, atol=1e-4)
    finally:
        supervisor.close()


def test_background_work_is_told_of_answers(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mark = default_busy_file()
    with contextlib.closing(EngineClient()) as client:
        client.call(Load(str(tiny[1])))
        assert not is_busy(mark)
        # A model of random weights does not come to an end by itself: the answer is still written as its start is read.
        recorder, events, request_id = start_recorded(client, ask("Count to ten."))
        wait_for_event(events, Token)
        assert is_busy(mark)
        client.cancel(request_id)
        assert recorder.wait().result.finish_reason == "cancelled"
        assert not is_busy(mark)
