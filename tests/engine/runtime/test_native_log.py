"""The newest living log receives what llama.cpp says; none that has gone is called."""

import gc

import llama_cpp.llama_cpp as llama
import pytest

from engine.runtime.native_log import NativeLog


def complain():
    """Let llama.cpp say that a file is missing."""
    assert not llama.llama_model_load_from_file(b"/no such file.gguf", llama.llama_model_default_params())


def test_an_older_log_receives_again_when_a_newer_one_has_gone(capfd):
    older, newer = NativeLog(), NativeLog()
    complain()
    assert newer.problems() and not older.problems()
    assert "no such file" in capfd.readouterr().err
    del newer
    gc.collect()
    complain()
    assert older.problems()
    older.clear()
    assert not older.problems()


@pytest.mark.parametrize("rounds", [50])
def test_logs_can_come_and_go(capfd, rounds):
    for _ in range(rounds):
        log = NativeLog()
        del log
        gc.collect()
        complain()
    assert NativeLog().problems() == []
