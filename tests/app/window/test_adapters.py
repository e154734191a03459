"""Choose adapters in the real window, with a real worker and a real adapter of the Starter."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.application import Application
from app.storage.messages import Message
from converter.adapter_file import ADAPTER, ALPHA_KEY, LORA, METHOD_KEY, TYPE_KEY
from converter.ggml_types import TENSOR_TYPES
from converter.gguf_file import read_header
from converter.gguf_stream import TensorToWrite, write_gguf
from converter.gguf_writer import TensorSpec, float32, string
from converter.lazy_tensors import ArrayRows
from tests.app.window.conftest import Opener
from tests.app.window.test_chatting import type_and_send, visible_texts, wait_for_answer

RANK = 2


def write_adapter(path: Path, model: Path) -> Path:
    """Write an adapter that shifts the output of one layer of a model far enough to change what it says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    name = "blk.10.ffn_down.weight"
    rows, columns = read_header(model).tensors[name].shape
    tensors = []
    for part, shape in (("a", (RANK, columns)), ("b", (rows, RANK))):
        values = generator.normal(0, 0.5, shape).astype("<f4")
        spec = TensorSpec(f"{name}.lora_{part}", shape, TENSOR_TYPES["f32"])
        tensors.append(TensorToWrite(spec, ArrayRows(values), lambda chunk: chunk.view(np.uint8)))
    metadata = {
        "general.architecture": string("phi3"),
        "general.name": string("Babbler"),
        TYPE_KEY: string(ADAPTER),
        METHOD_KEY: string(LORA),
        ALPHA_KEY: float32(RANK),
    }
    write_gguf(path, metadata, tensors)
    return path


@pytest.fixture
def adapter(tmp_path: Path, starter: Path) -> Path:
    return write_adapter(tmp_path / "profile" / "models" / "babbler.gguf", starter)


def adapter_button(application: Application) -> QPushButton:
    found = application.chat_page.panel.adapter.findChild(QPushButton)
    assert found is not None
    return found


def choose(qtbot: QtBot, application: Application, name: str) -> None:
    menu = adapter_button(application).menu()
    qtbot.waitUntil(lambda: any(action.text() == name for action in menu.actions()), timeout=20_000)
    next(action for action in menu.actions() if action.text() == name).trigger()


def ask(qtbot: QtBot, application: Application) -> Message:
    type_and_send(qtbot, application, "Name three fruits.")
    return wait_for_answer(qtbot, application)


def test_each_chat_has_its_own_adapter(qtbot: QtBot, adapter: Path, open_window: Opener) -> None:
    application = open_window()
    assert adapter_button(application).text() == "none ▾"
    plain = ask(qtbot, application)
    first = application.chat.current
    application.chat.new_chat()
    choose(qtbot, application, "Babbler")
    changed = ask(qtbot, application)
    assert changed.text != plain.text
    second = application.chat.current
    assert first is not None and second is not None
    assert second.sampling == {"adapter": str(adapter), "adapter_scale": 1.0}
    application.chat.open(first.id)
    assert adapter_button(application).text() == "none ▾"
    assert ask(qtbot, application).text != changed.text
    application.chat.open(second.id)
    assert adapter_button(application).text() == "Babbler ▾"
    choose(qtbot, application, "none")
    assert application.chat.current is not None and not application.chat.current.sampling["adapter"]


def test_an_adapter_that_comes_later_is_offered(
    qtbot: QtBot, tmp_path: Path, starter: Path, open_window: Opener
) -> None:
    application = open_window()
    qtbot.waitUntil(lambda: application.others is not None and application.others._models.scanned, timeout=20_000)
    write_adapter(tmp_path / "profile" / "models" / "babbler.gguf", starter)
    assert application.others is not None
    application.others._models.refresh()
    choose(qtbot, application, "Babbler")
    assert adapter_button(application).text() == "Babbler ▾"


def test_sampling_and_adapter_do_not_forget_each_other(qtbot: QtBot, adapter: Path, open_window: Opener) -> None:
    application = open_window()
    choose(qtbot, application, "Babbler")
    panel = application.chat_page.panel
    panel._change(temperature=0.0, max_tokens=20)
    ask(qtbot, application)
    current = application.chat.current
    assert current is not None
    assert (current.sampling["adapter"], current.sampling["max_tokens"]) == (str(adapter), 20)
    choose(qtbot, application, "none")
    assert application.chat.current is not None
    assert application.chat.current.sampling["max_tokens"] == 20


def test_an_adapter_that_is_gone_ends_the_answer_in_words(qtbot: QtBot, adapter: Path, open_window: Opener) -> None:
    application = open_window()
    choose(qtbot, application, "Babbler")
    adapter.unlink()
    answer = ask(qtbot, application)
    assert answer.text == ""
    assert any("There is no adapter babbler.gguf." in text for text in visible_texts(application.chat_page.transcript))
    assert application.bridge.state.kind == "ready"
    choose(qtbot, application, "none")
    application.chat.regenerate(answer.id)
    assert len(wait_for_answer(qtbot, application).text) > 5
