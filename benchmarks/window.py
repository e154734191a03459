"""Measure the window: start, first token, opening a long chat, and what streaming costs.

`python -m benchmarks.window` prints medians; it runs offscreen, so painting goes to memory. A busy machine shows in
every figure: run it on a quiet one.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

RUNS = 5
MESSAGES = 2000
TOKENS = 1000
TOKENS_PER_SECOND = 100

# Runs in a process of its own, because the time from the start of the process counts.
START = """
import sys, time, psutil
from pathlib import Path
from PySide6.QtCore import QObject, QEvent
from PySide6.QtWidgets import QApplication
from app.application import Application
from app.paths import profile_paths
begun = psutil.Process().create_time()
qt = QApplication([])
application = Application(qt, profile_paths(Path(sys.argv[1])))
class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint:
            application.window.removeEventFilter(self)
            print("visible", time.time() - begun, flush=True)
            print("visible_cpu", time.process_time(), flush=True)
        return False
watch = Watch()
application.window.installEventFilter(watch)
def ask():
    if application.bridge.state.kind == "ready" and application.chat.current is None:
        print("loaded", time.time() - begun, flush=True)
        application.chat.send("Name three fruits.")
        next(iter(application.chat._generations.values())).text_stored.connect(shown)
def shown(*_):
    print("first_token", time.time() - begun, flush=True)
    qt.quit()
application.bridge.state_changed.connect(ask)
application.start()
qt.exec()
application.shutdown()
"""


def main() -> None:
    """Print every figure."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    starts = [_start() for _ in range(RUNS + 1)][1:]
    for name, what in (
        ("visible", "start to visible"),
        ("visible_cpu", "processor time until visible"),
        ("loaded", "start to Starter loaded"),
        ("first_token", "start to first token"),
    ):
        _print(what, statistics.median(start[name] for start in starts), "s")
    _measure_transcript()


def _start() -> dict[str, float]:
    """Start the program on a new profile and read its times."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", START, folder]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name: float(value) for name, value in (line.split() for line in output.splitlines())}


def _measure_transcript() -> None:
    from PySide6.QtWidgets import QApplication

    from app.application import Application
    from app.paths import profile_paths

    qt = QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        application = Application(qt, profile_paths(Path(folder)))
        long, short = _fill(application)
        application.window.show()
        opening = []
        for _ in range(RUNS):
            application.chat.open(short)
            qt.processEvents()
            begun = time.perf_counter()
            application.chat.open(long)
            qt.processEvents()
            opening.append(time.perf_counter() - begun)
        _print(f"opening a chat of {MESSAGES} messages", statistics.median(opening) * 1000, "ms")
        _print("one scroll step in it", _scroll(application, qt.processEvents) * 1000, "ms")
        _print(f"streaming {TOKENS_PER_SECOND} tokens/s", _stream(application, qt) * 100, "% of a core")


ANSWER = """Here is a function that does it, and a few words on **why** it is written like that:

```python
def rename(folder: Path) -> int:
    count = 0
    for photo in sorted(folder.glob("*.jpg")):
        taken = Image.open(photo).getexif().get(306)
        if taken:
            photo.rename(photo.with_stem(taken.replace(":", "-")))
            count += 1
    return count
```

1. It sorts the photos, so that two runs do the same.
2. It leaves photos alone that have no date.

"""


def _fill(application: "Application") -> tuple[int, int]:  # noqa: F821
    """Make a long chat and a short one."""
    from app.storage.messages import AnswerStats

    services = application.chat._services
    made = []
    for count in (MESSAGES, 2):
        chat = services.conversations.create(f"{count} messages")
        parent = None
        with application._database.transaction():
            for number in range(count):
                role, text = ("user", "Rename my photos.") if number % 2 == 0 else ("assistant", ANSWER)
                parent = services.messages.add(chat.id, parent, role, text).id
                if role == "assistant":
                    services.messages.finish(parent, AnswerStats("stop", None, 1, 1, 1, 20.0, 500.0))
        made.append(chat.id)
    return made[0], made[1]


def _scroll(application: "Application", process: Callable[[], object]) -> float:  # noqa: F821
    bar = application.chat_page.transcript.verticalScrollBar()
    times = []
    for _ in range(100):
        begun = time.perf_counter()
        bar.setValue(bar.value() - 120)
        process()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _stream(application: "Application", qt: "QApplication") -> float:  # noqa: F821
    """Feed tokens at a fixed rate through storage and transcript, and return the share of a core that it took."""
    from PySide6.QtCore import Qt, QTimer

    from app.chat.generation import Generation
    from app.engine_bridge import Answering
    from engine.protocol import Token

    services = application.chat._services
    chat = services.conversations.create("Streaming")
    question = services.messages.add(chat.id, None, "user", "Go on.")
    answer = services.messages.add(chat.id, question.id, "assistant", streaming=True)
    application.chat.open(chat.id)
    answering = Answering(application.bridge)
    generation = Generation(services.bridge, services.messages, answering, answer.id)
    generation.text_stored.connect(application.chat_page.transcript.append_text)
    text = ANSWER * (TOKENS * 4 // len(ANSWER) + 1)
    feed = iter(range(TOKENS))

    def next_token() -> None:
        number = next(feed, None)
        if number is None:
            qt.quit()
        else:
            answering.take(Token(1, text[number * 4 : number * 4 + 4]))

    timer = QTimer(interval=1000 // TOKENS_PER_SECOND)
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(next_token)
    begun, cpu = time.perf_counter(), time.process_time()
    timer.start()
    qt.exec()
    return (time.process_time() - cpu) / (time.perf_counter() - begun)


def _print(what: str, value: float, unit: str) -> None:
    print(f"{what:45} {value:8.2f} {unit}", flush=True)


if __name__ == "__main__":
    main()
