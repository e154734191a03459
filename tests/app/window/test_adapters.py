"""Choose adapters in the real window, with a real worker and a real adapter of the Starter."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QPushButton, QSlider
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


def write_adapter(path: Path, model: Path, *, name: str = "Babbler", sign: float = 1.0) -> Path:
    """Write an adapter that shifts the output of one layer of a model far enough to change what it says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    weight = "blk.10.ffn_down.weight"
    rows, columns = read_header(model).tensors[weight].shape
    tensors = []
    for part, shape in (("a", (RANK, columns)), ("b", (rows, RANK))):
        values = generator.normal(0, 0.5, shape).astype("<f4") * np.float32(sign if part == "b" else 1.0)
        spec = TensorSpec(f"{weight}.lora_{part}", shape, TENSOR_TYPES["f32"])
        tensors.append(TensorToWrite(spec, ArrayRows(values), lambda chunk: chunk.view(np.uint8)))
    metadata = {
        "general.architecture": string("phi3"),
        "general.name": string(name),
        TYPE_KEY: string(ADAPTER),
        METHOD_KEY: string(LORA),
        ALPHA_KEY: float32(RANK),
    }
    write_gguf(path, metadata, tensors)
    return path


@pytest.fixture
def adapter(tmp_path: Path, starter: Path) -> Path:
    return write_adapter(tmp_path / "profile" / "models" / "babbler.gguf", starter)


def menu_texts(application: Application) -> list[str]:
    return [action.text() for action in application.chat_page.panel.adapters._add.menu().actions()]


def chosen(application: Application) -> list[str]:
    sliders = application.chat_page.panel.adapters.findChildren(QSlider)
    return [slider.accessibleName() for slider in sliders if not slider.parentWidget().parentWidget().isHidden()]


def add(qtbot: QtBot, application: Application, name: str) -> None:
    qtbot.waitUntil(lambda: name in menu_texts(application), timeout=20_000)
    actions = application.chat_page.panel.adapters._add.menu().actions()
    next(action for action in actions if action.text() == name).trigger()


def remove(application: Application, name: str) -> None:
    buttons = application.chat_page.panel.adapters.findChildren(QPushButton)
    next(button for button in buttons if button.accessibleName() == f"Remove {name}").click()


def ask(qtbot: QtBot, application: Application) -> Message:
    type_and_send(qtbot, application, "Name three fruits.")
    return wait_for_answer(qtbot, application)


def test_each_chat_has_its_own_adapters(qtbot: QtBot, adapter: Path, open_window: Opener) -> None:
    application = open_window()
    assert chosen(application) == []
    plain = ask(qtbot, application)
    first = application.chat.current
    application.chat.new_chat()
    add(qtbot, application, "Babbler")
    changed = ask(qtbot, application)
    assert changed.text != plain.text
    second = application.chat.current
    assert first is not None and second is not None
    assert second.sampling == {"adapters": [{"path": str(adapter), "scale": 1.0}]}
    application.chat.open(first.id)
    assert chosen(application) == []
    assert ask(qtbot, application).text != changed.text
    application.chat.open(second.id)
    assert chosen(application) == ["Strength of Babbler"]
    remove(application, "Babbler")
    assert application.chat.current is not None and application.chat.current.sampling["adapters"] == []


def test_several_adapters_count_together(
    qtbot: QtBot, adapter: Path, tmp_path: Path, starter: Path, open_window: Opener
) -> None:
    """Two opposite adapters cancel each other, so the answer is that of the model alone."""
    write_adapter(tmp_path / "profile" / "models" / "other.gguf", starter, name="Opposite", sign=-1.0)
    application = open_window()
    plain = ask(qtbot, application)
    application.chat.new_chat()
    add(qtbot, application, "Babbler")
    add(qtbot, application, "Opposite")
    assert chosen(application) == ["Strength of Babbler", "Strength of Opposite"]
    both = ask(qtbot, application)
    assert both.text == plain.text
    assert [each["name"] for each in both.made_with["adapters"]] == ["babbler.gguf", "other.gguf"]
    remove(application, "Opposite")
    application.chat.regenerate(both.id)
    assert wait_for_answer(qtbot, application).text != plain.text


def test_a_chat_of_an_earlier_version_keeps_its_adapter(qtbot: QtBot, adapter: Path, open_window: Opener) -> None:
    application = open_window()
    old = application.chat._services.conversations.create("Old")
    values = {"adapter": str(adapter), "adapter_scale": 0.5}
    application.chat._services.conversations.set_sampling(old.id, values)
    application.chat.open(old.id)
    qtbot.waitUntil(lambda: chosen(application) == ["Strength of Babbler"], timeout=20_000)
    answer = ask(qtbot, application)
    assert answer.made_with["adapters"] == [{"name": "babbler.gguf", "scale": 0.5}]


def test_an_adapter_that_comes_later_is_offered(
    qtbot: QtBot, tmp_path: Path, starter: Path, open_window: Opener
) -> None:
    application = open_window()
    qtbot.waitUntil(lambda: application.others is not None and application.others._models.scanned, timeout=20_000)
    write_adapter(tmp_path / "profile" / "models" / "babbler.gguf", starter)
    assert application.others is not None
    application.others._models.refresh()
    add(qtbot, application, "Babbler")
    assert chosen(application) == ["Strength of Babbler"]


def test_sampling_and_adapters_do_not_forget_each_other(qtbot: QtBot, adapter: Path, open_window: Opener) -> None:
    application = open_window()
    add(qtbot, application, "Babbler")
    panel = application.chat_page.panel
    panel._change(temperature=0.0, max_tokens=20)
    ask(qtbot, application)
    current = application.chat.current
    assert current is not None
    assert [each["path"] for each in current.sampling["adapters"]] == [str(adapter)]
    assert current.sampling["max_tokens"] == 20
    remove(application, "Babbler")
    assert application.chat.current is not None
    assert application.chat.current.sampling["max_tokens"] == 20


def test_an_adapter_that_is_gone_ends_the_answer_in_words(qtbot: QtBot, adapter: Path, open_window: Opener) -> None:
    application = open_window()
    add(qtbot, application, "Babbler")
    adapter.unlink()
    answer = ask(qtbot, application)
    assert answer.text == ""
    assert any("There is no adapter babbler.gguf." in text for text in visible_texts(application.chat_page.transcript))
    assert application.bridge.state.kind == "ready"
    remove(application, "Babbler")
    application.chat.regenerate(answer.id)
    assert len(wait_for_answer(qtbot, application).text) > 5
