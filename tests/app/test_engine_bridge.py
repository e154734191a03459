"""Check that the engine's events arrive as signals, with a worker that behaves or does not."""

import threading

import pytest
from pytestqt.qtbot import QtBot

from app.engine_bridge import EngineBridge
from engine.protocol import Load, Message
from tests.helpers.workers import ask, fake_worker


@pytest.fixture
def bridge_to(qtbot: QtBot):
    bridges: list[EngineBridge] = []

    def start(behaviour: str) -> EngineBridge:
        bridge = EngineBridge(fake_worker(behaviour))
        bridges.append(bridge)
        return bridge

    yield start
    for bridge in bridges:
        bridge.close()


def load(qtbot: QtBot, bridge: EngineBridge) -> None:
    bridge.load(Load("fake.gguf"))
    assert bridge.state.kind == "loading"
    qtbot.waitUntil(lambda: bridge.state.kind != "loading", timeout=20_000)


def test_an_answer_arrives_in_the_gui_thread(qtbot: QtBot, bridge_to) -> None:
    bridge = bridge_to("behaves")
    load(qtbot, bridge)
    assert bridge.state.model is not None
    assert bridge.state.model.name == "Fake"
    assert bridge.ready is not None
    threads: set[int] = set()
    text: list[str] = []
    answering = bridge.chat(ask("hello"))
    answering.token_arrived.connect(lambda piece: (text.append(piece), threads.add(threading.get_ident())))
    with qtbot.waitSignal(answering.finished, timeout=20_000) as finished:
        pass
    assert finished.args is not None
    assert finished.args[0].text == "ab"
    assert text == ["a", "b"]
    assert threads == {threading.get_ident()}


def test_a_death_ends_the_answer_and_the_next_one_works(qtbot: QtBot, bridge_to) -> None:
    bridge = bridge_to("dies")
    load(qtbot, bridge)
    for _ in range(2):
        answering = bridge.chat(ask("hello"))
        with qtbot.waitSignal(answering.failed, timeout=20_000) as failed:
            pass
        assert failed.args is not None
        assert failed.args[0].code == "worker_died"
        qtbot.waitUntil(lambda: bridge.state.kind == "ready", timeout=20_000)


def test_a_worker_that_cannot_stay_alive_is_a_failure_in_words(qtbot: QtBot, bridge_to) -> None:
    bridge = bridge_to("dies at start")
    qtbot.waitUntil(lambda: bridge.state.kind == "failed", timeout=20_000)
    assert bridge.state.error is not None
    assert bridge.state.error.code == "worker_unavailable"
    answering = bridge.chat(ask("hello"))
    with qtbot.waitSignal(answering.failed, timeout=20_000):
        pass


def test_a_model_that_kills_the_worker_is_not_loaded_again(qtbot: QtBot, bridge_to) -> None:
    bridge = bridge_to("dies loading")
    load(qtbot, bridge)
    assert bridge.state.kind == "failed"
    assert bridge.state.error is not None
    assert bridge.state.error.code == "worker_died"


def test_no_model_without_loading_one(qtbot: QtBot, bridge_to) -> None:
    bridge = bridge_to("behaves")
    assert bridge.state.kind == "none"
    answering = bridge.chat(ask("hello"))
    with qtbot.waitSignal(answering.failed, timeout=20_000) as failed:
        pass
    assert failed.args is not None
    assert failed.args[0].code == "no_model"
    bridge.count([Message("user", "x")], 0, lambda result: pytest.fail("nothing can be counted"))
    qtbot.wait(100)


@pytest.mark.parametrize("behaviour", ["leaves a gpu", "dies of a gpu"])
def test_a_model_that_moves_to_the_processor_says_so_and_the_answer_goes_on(
    qtbot: QtBot, bridge_to, behaviour: str
) -> None:
    bridge = bridge_to(behaviour)
    load(qtbot, bridge)
    assert bridge.state.model is not None and bridge.state.model.gpu_layers == 2
    answering = bridge.chat(ask("hello"))
    text: list[str] = []
    notices: list[str] = []
    answering.token_arrived.connect(text.append)
    answering.noticed.connect(lambda notice: notices.append(notice.code))
    with qtbot.waitSignal(answering.finished, timeout=20_000):
        pass
    assert "".join(text).startswith("ab")
    assert notices == ["moved_to_processor"]
    qtbot.waitUntil(lambda: bridge.state.kind == "ready", timeout=20_000)
    assert bridge.state.model is not None and bridge.state.model.gpu_layers == 0
