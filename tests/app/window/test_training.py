"""Check how the Fine-tune page and the rest of the window meet."""

import subprocess
import sys
from pathlib import Path

from app.application import Application
from app.widgets.labels import Label
from engine.library.folders import starter_path
from engine.protocol import Adapter
from tests.app.window.conftest import Opener

ROOT = Path(__file__).parents[3]
HEAVY = ("numpy", "torch", "pyarrow", "tokenizers", "gguf")


def notes(application: Application) -> dict[str, str]:
    labels = application.window.sidebar.findChildren(Label)
    return {label.text(): label.property("kind") for label in labels}


def test_the_sidebar_leads_to_the_page_and_shows_how_far_a_run_is(open_window: Opener) -> None:
    application = open_window(load=False)
    application.window.show()
    assert application.others is not None
    application.window.sidebar.page_requested.emit("training")
    assert application.others.training_page.isVisible()
    application.others.training.note_changed.emit("62%")
    assert notes(application)["62%"] == "small-accent"


def test_an_adapter_is_used_in_a_new_chat(open_window: Opener, tmp_path: Path) -> None:
    application = open_window(load=False)
    assert application.others is not None
    adapter = str(tmp_path / "run.lora.gguf")
    application.others.training.chat_requested.emit(starter_path(), adapter, 0)
    assert application.bridge.state.path == str(starter_path())
    assert application.chat.current is None
    assert application.chat.own.adapters == (Adapter(adapter),)
    application.others.training.chat_requested.emit(starter_path(), "", 0)
    assert application.chat.own.adapters == ()


def test_the_page_brings_nothing_heavy_into_the_window() -> None:
    code = f"import sys, app.other_pages; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
