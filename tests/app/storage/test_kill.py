"""Kill a process that writes an answer: every piece it reported as written must be there."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.storage.database import open_database
from app.storage.messages import INTERRUPTED, Messages

WRITER = """
import sys
from pathlib import Path
from app.storage.conversations import Conversations
from app.storage.database import open_database
from app.storage.messages import Messages
database = open_database(Path(sys.argv[1]))
messages = Messages(database)
chat = Conversations(database).create("Chat").id
answer = messages.add(chat, None, "assistant", streaming=True)
for number in range(1_000_000):
    messages.append_text(answer.id, f"{number} ")
    print(number, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("count", [1, 50, 3000])
def test_every_written_piece_survives(count: int, tmp_path: Path) -> None:
    path = tmp_path / "phidelity.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    with writer:
        for _ in range(count):
            last = int(writer.stdout.readline())
        writer.kill()
        reported = [last, *(int(line) for line in writer.stdout.read().split("\n")[:-1])]
    database = open_database(path)
    assert database.notice is None
    assert Messages(database).recover_interrupted() == 1
    answer = Messages(database).path(1)[0]
    numbers = [int(number) for number in answer.text.split()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > reported[-1]
    assert answer.stats is not None
    assert answer.stats.finish_reason == INTERRUPTED
    database.close()
