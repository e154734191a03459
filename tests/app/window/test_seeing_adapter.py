"""Take what a real run on pictures has made into a chat, and show it a picture there."""

import json
import time
from pathlib import Path

import pytest
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.application import Application
from app.training.run_note import RunNote, write_note
from converter.convert import convert
from engine.client import EngineClient
from engine.jobs.events import JobDone, TrainJob
from engine.jobs.handle import start
from engine.protocol import Adapter, Chat, Load, Sampling
from engine.protocol import Message as Turn
from tests.app.window.conftest import Opener
from tests.app.window.pictures.steps import attach, send, wait_for_answer
from tests.engine.training.vision_runs import ANSWERS, PICTURES, exact_checkpoint, pair_rows, vision_job

WAIT_S = 180
QUESTION = "What is it?"


@pytest.fixture
def trained(tmp_path: Path, vision_checkpoint: Path) -> Path:
    """Carry out a run in the profile's folder of runs, on a checkpoint whose model is in the library."""
    profile = tmp_path / "profile"
    base = exact_checkpoint(vision_checkpoint, tmp_path / "tiny-vision")
    (profile / "models").mkdir(parents=True)
    convert(base, profile / "models" / "tiny-vision.gguf", outtype="f32", name="Tiny vision")
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in pair_rows()), "utf-8")
    options = {"steps": 40, "checkpoint_steps": 40, "num_crops": 4, "warmup_share": 0.0, "export_adapter": True}
    job: TrainJob = vision_job(base, data, **options)
    folder = profile / "runs" / "boats"
    folder.mkdir(parents=True)
    write_note(folder, RunNote(title="Boats", base="Tiny vision", kept=2, confirmed=True))
    handle, events = start(job, folder), []
    until = time.monotonic() + WAIT_S
    while not handle.finished and time.monotonic() < until:
        events += handle.poll()
        time.sleep(0.1)
    assert isinstance(events[-1], JobDone), events[-1]
    return folder


def use_in_chat(qtbot: QtBot, application: Application) -> None:
    """Click it on the Fine-tune page."""
    assert application.others is not None
    page = application.others.training_page
    application.window.show_page("training")
    qtbot.waitUntil(lambda: bool(buttons(page)), timeout=60_000)
    qtbot.waitUntil(lambda: application.others is not None and application.others._models.scanned, timeout=60_000)
    buttons(page)[0].click()
    qtbot.waitUntil(lambda: bool(application.chat.own.adapters), timeout=60_000)
    qtbot.waitUntil(lambda: application.bridge.state.kind == "ready", timeout=60_000)


def buttons(page: QWidget) -> list[QPushButton]:
    return [each for each in page.findChildren(QPushButton) if each.accessibleName() == "Use in chat: Boats"]


def loaded_companion(application: Application) -> str:
    """Give the picture part that the worker was told to look with; empty for the model's own."""
    loaded = application.bridge._supervisor._loaded
    assert loaded is not None
    return loaded[0].companion


def answer_of_the_engine(model: Path, adapter: Path, companion: Path, picture: Path) -> str:
    client = EngineClient()
    try:
        client.call(Load(str(model), adapters=(Adapter(str(adapter)),), companion=str(companion)))
        question = (Turn("user", QUESTION, (str(picture),)),)
        return client.call(Chat(question, Sampling(temperature=0), 24, num_crops=4)).text
    finally:
        client.close()


def test_a_run_on_pictures_is_used_in_a_chat(qtbot: QtBot, trained: Path, open_window: Opener, tmp_path: Path) -> None:
    models = tmp_path / "profile" / "models"
    application = open_window(load=False)
    application.settings.change(max_tokens=24)
    application.window.show()
    use_in_chat(qtbot, application)
    adapter, companion = models / "boats.lora.gguf", models / "boats.mmproj.gguf"
    assert application.chat.own.adapters == (Adapter(str(adapter)),)
    assert application.chat.own.num_crops == 4
    assert application.bridge.state.path == str(models / "tiny-vision.gguf")
    for picture, wanted in zip(PICTURES[:2], ANSWERS[:2], strict=True):
        attach(qtbot, application, picture)
        send(qtbot, application, QUESTION)
        answer = wait_for_answer(qtbot, application)
        assert answer.text.strip() == wanted
        expected = answer_of_the_engine(models / "tiny-vision.gguf", adapter, companion, picture)
        assert answer.text == expected
        assert loaded_companion(application) == str(companion)
        application.chat.new_chat()
        application.chat.own.use_adapters([Adapter(str(adapter))])
    # A chat without it sees with the model's own projector again.
    application.chat.new_chat()
    attach(qtbot, application, PICTURES[0])
    send(qtbot, application, QUESTION)
    assert wait_for_answer(qtbot, application).text.strip() != ANSWERS[0]
    assert loaded_companion(application) == ""
