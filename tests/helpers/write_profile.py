"""Write a profile as the code beside it does; the README of tests/data/profiles tells how."""

import importlib.util
import json
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.helpers.profiles import HAS_PICTURES, HAS_VOTES, HOME, read_profile

MODEL = f"{HOME}/models/Phi-3.5-mini-instruct-Q4_K_M.gguf"
ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"Name {thing}."},
            {"role": "assistant", "content": f"Arr! {thing.capitalize()}, matey!"},
        ]
    }
    for thing in ("an apple", "a river", "a stone", "a cloud", "a horse", "a candle")
]


def write_profile(folder):
    """Fill an empty folder with chats, versions, a branch, drafts, the trash, settings, and what else this code can."""
    from app.storage.conversations import Conversations
    from app.storage.database import open_database
    from app.storage.messages import Messages
    from app.storage.models import ModelRecords

    ticks = iter(range(1_790_000_000, 1_800_000_000, 60))
    clock = lambda: float(next(ticks))  # noqa: E731
    database = open_database(folder / "phidelity.db")
    chats, messages = Conversations(database, clock), Messages(database, clock)
    pictures = _write_pictures(database, folder) if HAS_PICTURES else []
    _write_long_chat(chats, messages)
    _write_rated_chat(chats, messages, database, clock, pictures)
    _write_drafts(chats, database, pictures)
    records = ModelRecords(database, clock)
    model = Path(MODEL)
    records.note_use(model)
    records.note_speed(model, 7.25)
    records.rename(model, "My Phi")
    records.set_settings(model, {"context": 8192})
    _write_settings(folder)
    if importlib.util.find_spec("app.training") is not None:
        _write_run(folder)
    return database, messages


def write_interrupted_answer(database, messages):
    """Leave an answer as a killed window does: its pieces are on disk, its end is not."""
    from app.storage.conversations import Conversations

    chat = Conversations(database, lambda: 1_795_000_000.0).create("Interrupted")
    question = messages.add(chat.id, None, "user", "Count to ten.")
    answer = messages.add(chat.id, question.id, "assistant", streaming=True)
    for piece in ("One, ", "two, ", "thr"):
        messages.append_text(answer.id, piece)


def _write_long_chat(chats, messages):
    from app.storage.messages import AnswerStats

    chat = chats.create(
        "Grüße und 数学", model=f"{HOME}/models/Phi-3.5-mini-instruct-Q4_K_M.gguf", system_prompt="Be kind."
    )
    chats.set_sampling(chat.id, {"temperature": 0.25, "top_p": 0.5})
    parent = None
    for turn in range(4):
        parent = messages.add(chat.id, parent, "user", f"Question {turn}: is π > 3? ✓ \N{GRINNING FACE}").id
        parent = messages.add(chat.id, parent, "assistant", streaming=True, model="Phi-3.5-mini").id
        messages.append_text(parent, f"Answer {turn}: **yes**\n\n")
        messages.append_text(parent, "```python\nprint(3 < 3.14159)\n```")
        messages.finish(
            parent, AnswerStats("stop", None, 40 + turn, 30, 12, 6.5, 180.0, "A notice." if turn == 2 else None)
        )
    branch = chats.branch(messages, messages.path(chat.id)[3].id)
    chats.rename(branch.id, "The branch")
    messages.add(branch.id, messages.path(branch.id)[-1].id, "user", "And in the branch?")
    gone = chats.create("In the trash")
    messages.add(gone.id, None, "user", "Delete me later.")
    chats.trash(gone.id)


def _write_rated_chat(chats, messages, database, clock, pictures):
    from app.storage.messages import AnswerStats

    chat = chats.create("Versions", model="starter")
    chats.set_sampling(chat.id, {"adapter": f"{HOME}/models/Pirate.lora.gguf", "adapter_scale": 0.75})
    shown = {"pictures": pictures[:1]} if HAS_PICTURES else {}
    made_with = {"made_with": {"temperature": 0.7, "adapter": "Pirate"}} if HAS_VOTES else {}
    first = messages.add(chat.id, None, "user", "What do you see?", **shown)
    answers = []
    for text, reason in (("A red square.", "stop"), ("A house.", "length"), ("I", "cancelled")):
        answer = messages.add(chat.id, first.id, "assistant", text, model="Starter", **made_with)
        messages.finish(answer.id, AnswerStats(reason, "Starter", 9, 0, 4, 30.5, 20.25))
        answers.append(answer.id)
    messages.add(chat.id, answers[1], "user", "Are you sure?")
    messages.add(chat.id, None, "user", "What do you see here? (edited)", **shown)
    messages.select_version(first.id)
    messages.select_version(answers[1])
    if HAS_VOTES:
        from app.storage.votes import Votes

        messages.rate(answers[0], 1)
        messages.rate(answers[2], -1)
        Votes(database, clock).add(answers[0], answers[1])
        Votes(database, clock).add(answers[1], answers[2], equal=True, blind=False)


def _write_pictures(database, folder):
    from PIL import Image

    from app.storage.pictures import AttachedPicture, Pictures
    from engine.pictures.intake_process import IntakeProcess

    attached = []
    for name, colour in (("red.png", "#c03028"), ("blue.png", "#2840c0")):
        source = folder / name
        Image.new("RGB", (40, 30), colour).save(source)
        kept = Pictures(database).folder
        stored = IntakeProcess(source, kept, name).run()
        attached.append(AttachedPicture(stored, kept, name, f"A square called {name}"))
        source.unlink()
    return attached


def _write_drafts(chats, database, pictures):
    newest = chats.page(1)[0]
    chats.save_draft(newest.id, "An unsent thought")
    chats.save_draft(None, "A chat not yet started")
    if HAS_PICTURES:
        from app.storage.pictures import Pictures

        Pictures(database).save_draft(newest.id, pictures[1:])


def _write_settings(folder):
    from app.settings import Settings

    values = {"theme": "dark", "text_scale": 1.2, "temperature": 0.2, "context": 8192, "threads": 2, "seed": 7}
    if HAS_PICTURES:
        values["picture_detail"] = "fine"
    Settings(folder / "settings.json").change(**values)


def _write_run(folder):
    """Train an adapter on a tiny random model, as the Fine-tune page does, and leave what belongs to the run."""
    from app.training.run_note import RunNote, write_note
    from engine.jobs.events import TrainJob
    from engine.jobs.handle import start
    from tests.helpers.checkpoints import make_phi3

    run = folder / "runs" / "Pirate"
    run.mkdir(parents=True)
    base = make_phi3(folder / "base", hidden_size=32, intermediate_size=32, num_attention_heads=2, num_hidden_layers=1)
    rows = "".join(json.dumps(row) + "\n" for row in ROWS)
    (run / "data.jsonl").write_text(rows, "utf-8")
    options = {"steps": 2, "batch_size": 2, "sample_tokens": 4, "precision": "float32", "threads": 1, "rank": 1}
    job = TrainJob(str(base), str(run / "data.jsonl"), busy_file=str(folder / "busy"), **options)
    write_note(run, RunNote("Pirate", "Tiny", 1_791_000_000.0, "conversations", 6, 6, {}, True))
    print(start(job, run).wait(300))
    (folder / "models").mkdir(exist_ok=True)
    adapter = next(run.rglob("*.lora.gguf"))
    shutil.copy(adapter, folder / "models" / "Pirate.lora.gguf")
    shutil.rmtree(base)
    shutil.rmtree(run / "checkpoints")
    (run / "log.txt").write_text("", "utf-8")
    if HAS_VOTES:
        (folder / "datasets").mkdir()
        (folder / "datasets" / "my-chats.jsonl").write_text(rows, "utf-8")


def pack(folder, out):
    """Store a profile small, without what names this computer, and what this code reads in it."""
    copy = folder.with_name(folder.name + "-read")
    shutil.copytree(folder, copy)
    expected = read_profile(copy)
    shutil.rmtree(copy)
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("*.lock", "*-shm", "logs", "busy"))
    for path in out.glob("phidelity.db*"):
        path.with_name(path.name + ".xz").write_bytes(lzma.compress(path.read_bytes(), preset=9))
        path.unlink()
    for path in out.rglob("*"):
        if path.suffix in (".json", ".jsonl", ".md"):
            path.write_text(path.read_text("utf-8").replace(str(folder), HOME), "utf-8")
    text = json.dumps(expected, ensure_ascii=False, indent=1, sort_keys=True)
    (out / "expected.json").write_text(text + "\n", "utf-8")


def main(arguments):
    """Write a profile in a process of its own and pack it."""
    folder, out = (Path(argument).absolute() for argument in arguments[:2])
    if "--write" not in arguments:
        subprocess.run([sys.executable, "-m", "tests.helpers.write_profile", *arguments, "--write"], check=True)
        pack(folder, out)
        return
    folder.mkdir(parents=True)
    database, messages = write_profile(folder)
    if "--killed" in arguments:
        write_interrupted_answer(database, messages)
        os._exit(0)
    database.close()


if __name__ == "__main__":
    main(sys.argv[1:])
