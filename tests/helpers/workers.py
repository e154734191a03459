"""Start fake workers and collect the events of requests."""

import sys
import threading
from pathlib import Path

from engine.protocol import Chat, Done, Failed, Message, Sampling

FAKE_WORKER = Path(__file__).with_name("fake_worker.py")


def fake_worker(behaviour):
    """Give the command of a fake worker."""
    return [sys.executable, str(FAKE_WORKER), behaviour]


def ask(text, **options):
    """Give a greedy request with one user turn."""
    options.setdefault("sampling", Sampling(temperature=0))
    return Chat((Message("user", text),), **options)


class Recorder:
    """Keep the events of one request; callable as its callback."""

    def __init__(self, on_event=None):
        self.events = []
        self.ended = threading.Event()
        self._on_event = on_event

    def __call__(self, event):
        """Keep an event."""
        self.events.append(event)
        if self._on_event:
            self._on_event(event)
        if isinstance(event, Done | Failed):
            self.ended.set()

    def wait(self, timeout=120):
        """Wait for the terminal event and give it."""
        assert self.ended.wait(timeout), f"no end after {self.events}"
        return self.events[-1]

    @property
    def text(self):
        """Join the tokens."""
        return "".join(getattr(event, "text", "") for event in self.events)

    @property
    def terminal_events(self):
        """Give what ended the request, which must be one event."""
        return [event for event in self.events if isinstance(event, Done | Failed)]
