"""Measure the storage: opening, a long chat, streaming writes, search, in a database of many chats.

python benchmarks/storage.py [--chats 2000]
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from app.storage.conversations import Conversations
from app.storage.database import Database, open_database
from app.storage.messages import AnswerStats, Messages

WORDS = [
    "".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=n % 9 + 2)) for n in range(5000)
]  # a vocabulary as large as that of ordinary chats


def main() -> None:
    """Fill a database and print the median of each operation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=2000, help="chats of 20 messages besides the long one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phidelity.db"
        database = open_database(path)
        long_chat = fill(database, arguments.chats)
        database.close()
        print(f"{arguments.chats} chats of 20 messages and one of 2,000; {path.stat().st_size / 1e6:.0f} MB")
        report("open, checked", 5, lambda: open_database(path).close())
        database = open_database(path)
        conversations, messages = Conversations(database), Messages(database)
        report("open the 2,000-message chat", 20, lambda: messages.path(long_chat))
        report("first page of the list", 20, lambda: conversations.page())
        report("search, a common word", 20, lambda: conversations.search(WORDS[7]))
        report("search, a rare word", 20, lambda: conversations.search("needle"))
        report("search without an index", 5, lambda: search_plain(database))
        stream(messages, long_chat)
        database.close()


def fill(database: Database, chats: int) -> int:
    """Write the chats and return the long one."""
    conversations, messages = Conversations(database), Messages(database)
    generator = random.Random(1)
    long_chat = 0
    with database.transaction():
        for number in range(chats + 1):
            chat = conversations.create(" ".join(generator.choices(WORDS, k=5))).id
            parent = None
            for turn in range(2000 if number == chats else 20):
                text = " ".join(generator.choices(WORDS, k=20 if turn % 2 == 0 else 150))
                role = "user" if turn % 2 == 0 else "assistant"
                parent = messages.add(chat, parent, role, text + (" needle" if turn == 1999 else "")).id
            long_chat = chat
    return long_chat


def search_plain(database: Database) -> None:
    """Search as an SQLite without FTS5 would."""
    database.has_search_index = False
    Conversations(database).search("needle")
    database.has_search_index = True


def stream(messages: Messages, chat: int) -> None:
    """Write an answer of 4,000 pieces."""
    answer = messages.add(chat, messages.path(chat)[-1].id, "assistant", streaming=True)
    times = []
    for number in range(4000):
        started = time.perf_counter()
        messages.append_text(answer.id, f"{WORDS[number % 5000]} ")
        times.append((time.perf_counter() - started) * 1e3)
    print(f"{'append a piece':<30} {statistics.median(times):8.3f} ms median, {max(times):.1f} ms worst of 4,000")
    report("finish the answer", 1, lambda: messages.finish(answer.id, AnswerStats("stop")))


def report(name: str, repeats: int, operation: Callable[[], object]) -> None:
    """Print the median time of an operation."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        operation()
        times.append((time.perf_counter() - started) * 1e3)
    print(f"{name:<30} {statistics.median(times):8.2f} ms")


if __name__ == "__main__":
    main()
