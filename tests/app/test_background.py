"""Check that slow work runs elsewhere and its outcome arrives in the GUI thread."""

import threading

from pytestqt.qtbot import QtBot

from app.background import Background


def test_result_and_failure_arrive_in_the_gui_thread(qtbot: QtBot) -> None:
    background = Background()
    seen: list[tuple[str, object, bool]] = []
    gui = threading.get_ident()
    worker: list[int] = []

    def work() -> int:
        worker.append(threading.get_ident())
        return 7

    def fail() -> int:
        raise OSError("disk")

    background.run(work, lambda result: seen.append(("ok", result, threading.get_ident() == gui)))
    background.run(fail, seen.append, lambda error: seen.append(("no", str(error), threading.get_ident() == gui)))
    qtbot.waitUntil(lambda: len(seen) == 2)
    assert sorted(seen, key=str) == [("no", "disk", True), ("ok", 7, True)]
    assert worker[0] != gui
    background.close()


def test_outcomes_after_close_are_dropped(qtbot: QtBot) -> None:
    background = Background()
    gate = threading.Event()
    seen: list[object] = []
    background.run(gate.wait, seen.append)
    gate.set()
    background.close()
    qtbot.wait(20)
    assert seen == []
