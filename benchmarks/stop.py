"""Measure how long Stop takes: while a prompt is read, and while an answer is written.

python -m benchmarks.stop MODEL [--runs N] [--words N]
"""

import argparse
import contextlib
import queue
import statistics
import time

from engine.client import EngineClient
from engine.library.folders import resolve_model
from engine.protocol import Chat, Done, Event, Failed, Load, Message, Progress, Sampling, Token


def stop_ms(client: EngineClient, request: Chat, kind: type[Event], count: int) -> float:
    """Cancel `request` after `count` events of a kind; give the milliseconds to its end."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    request_id = client.submit(request, events.put)
    seen = 0
    while seen < count:
        event = events.get()
        if isinstance(event, Done | Failed):
            raise SystemExit(f"the request ended before it was stopped: {event}")
        seen += isinstance(event, kind)
    started = time.perf_counter()
    client.cancel(request_id)
    while not isinstance(events.get(), Done | Failed):
        pass
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Print the median and the longest time of both cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--words", type=int, default=1500)
    options = parser.parse_args()
    with contextlib.closing(EngineClient()) as client:
        client.call(Load(str(resolve_model(options.model).resolve())))
        greedy = Sampling(temperature=0)
        reading, writing = [], []
        for index in range(options.runs):
            # A first word of its own makes the whole prompt new.
            long = Chat((Message("user", f"{index} " + "word " * options.words),), greedy)
            reading.append(stop_ms(client, long, Progress, 2))
            story = Chat((Message("user", f"{index}. Tell a very long story about the sea."),), greedy)
            writing.append(stop_ms(client, story, Token, 3))
    for name, times in (("reading a prompt", reading), ("writing", writing)):
        print(f"stop while {name}: median {statistics.median(times):.0f} ms, longest {max(times):.0f} ms")


if __name__ == "__main__":
    main()
