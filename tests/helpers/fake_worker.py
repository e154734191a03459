"""Speak the engine's protocol without a model, well or badly: `python fake_worker.py BEHAVIOUR`."""

import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

from engine.protocol import (
    Chat,
    ChatResult,
    Device,
    Done,
    Failed,
    Load,
    LoadedModel,
    LoadResult,
    Notice,
    Progress,
    Ready,
    Shutdown,
    Token,
)
from engine.wire import decode_request, encode_event

BEHAVIOUR = sys.argv[1]
MODEL = LoadedModel("Fake", "none", "F32", 1, 4, 64, 64, True, "CPU", 0, 1, 1)
ANSWER = ChatResult("stop", "ab", 1, 0, 2, 3, 64, 1.0, 1.0, 1.0, 2.0)
CANCELLED = ChatResult("cancelled", "", 0, 0, 0, 0, 64, 0.0, 0.0, 0.0, 0.0)


def say(event):
    sys.stdout.buffer.write(encode_event(event))
    sys.stdout.buffer.flush()


def die(status):
    print("last words of the fake worker", file=sys.stderr, flush=True)
    os._exit(status)


def load(request_id, loaded, request):
    if BEHAVIOUR == "dies loading onto a gpu" and request.gpu != "avoid":
        die(7)
    if BEHAVIOUR.startswith(("dies of a gpu", "leaves a gpu")) and request.gpu != "avoid":
        say(Done(request_id, LoadResult(dataclasses.replace(MODEL, runs_on="GPU", gpu_layers=2), 1.0)))
        return
    if BEHAVIOUR == "dies loading" or (BEHAVIOUR == "dies loading again" and os.environ.get("FAKE_LOADED")):
        die(7)
    if loaded and BEHAVIOUR == "dies replacing":
        die(7)
    say(Done(request_id, LoadResult(MODEL, 1.0)))


def chat(request_id, loaded, request):
    if not loaded:
        say(Failed(request_id, "no_model", "No model is loaded."))
        return
    if BEHAVIOUR == "looks at pictures until cancelled":
        say(Progress(request_id, "picture", 2.5, 10, 12.0))
        cancel_id, _ = decode_request(sys.stdin.buffer.readline())
        say(Done(cancel_id))
        say(Done(request_id, CANCELLED))
        return
    if BEHAVIOUR == "dies of a gpu" and request.written:
        say(Token(request_id, f"b after {request.written}"))
        say(Done(request_id, ANSWER))
        return
    say(Token(request_id, "a", (17,) if "gpu" in BEHAVIOUR else ()))
    if BEHAVIOUR == "dies of a gpu when cancelled":
        sys.stdin.buffer.readline()
    if BEHAVIOUR == "dies" or BEHAVIOUR.startswith("dies of a gpu"):
        die(7)
    if BEHAVIOUR == "hangs":
        time.sleep(3600)
    if BEHAVIOUR == "aborts":
        os.abort()
    if BEHAVIOUR == "garbage":
        sys.stdout.buffer.write(b"\xff\xfe not json\n{}\n[1]\n\n" + b"x" * 100_000 + b"\n")
    if BEHAVIOUR == "leaves a gpu":
        say(Notice(request_id, "moved_to_processor", "The GPU failed.", model=MODEL))
    say(Token(request_id, "b"))
    say(Done(request_id, ANSWER))
    if BEHAVIOUR == "answers twice":
        say(Token(request_id, "c"))
        say(Done(request_id, ANSWER))
        say(Failed(request_id, "internal", "Once more."))


def main():
    if BEHAVIOUR == "dies at start":
        die(7)
    if BEHAVIOUR == "dies looking for a gpu once" and not Path(sys.argv[2]).exists():
        Path(sys.argv[2]).touch()
        die(7)
    if BEHAVIOUR == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    devices = (Device("GPU", "gpu", 1, 1),) if "gpu" in BEHAVIOUR else ()
    say(Ready(99 if BEHAVIOUR == "speaks another protocol" else 1, {"fake": "1"}, devices))
    if BEHAVIOUR == "deaf":
        time.sleep(3600)
    loaded = False
    for line in sys.stdin.buffer:
        request_id, request = decode_request(line)
        if isinstance(request, Load):
            load(request_id, loaded, request)
            loaded = True
        elif isinstance(request, Chat):
            chat(request_id, loaded, request)
        else:
            say(Done(request_id))
        if isinstance(request, Shutdown):
            return


main()
