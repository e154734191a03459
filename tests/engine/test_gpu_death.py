"""Test that models and answers outlive a GPU that takes the worker's process with it, with real workers."""

import contextlib
import sys

import pytest

from engine.client import EngineClient
from engine.protocol import Load, Notice
from engine.supervisor import Supervisor
from tests.helpers.workers import Recorder, ask

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself this signal")
WARM_UP = 1  # evaluations of one token while a model is loaded


@pytest.fixture
def start(tmp_path):
    with contextlib.ExitStack() as stack:

        def start_worker(evaluations):
            command = [sys.executable, "-m", "tests.helpers.gpu_worker", str(tmp_path / "gpu"), str(evaluations)]
            return stack.enter_context(contextlib.closing(Supervisor(command)))

        yield start_worker


def test_an_answer_goes_on_in_the_next_process(start, starter):
    request = ask("Name three fruits.", max_tokens=30)
    with contextlib.closing(EngineClient()) as client:
        client.call(Load(str(starter), gpu_layers=0, context=512))
        whole = client.call(request)
    supervisor = start(WARM_UP + 6)
    assert supervisor.call(Load(str(starter), context=512)).model.gpu_layers == 31
    recorder = Recorder()
    supervisor.submit(request, recorder)
    result = recorder.wait().result
    assert (result.text, result.completion_tokens) == (whole.text, whole.completion_tokens)
    assert recorder.text == whole.text
    assert [event.code for event in recorder.events if isinstance(event, Notice)] == ["moved_to_processor"]
    assert supervisor.model.gpu_layers == 0
    # That is no reason to leave the GPU alone for ever.
    assert supervisor.call(Load(str(starter), context=512)).model.gpu_layers == 31


def test_a_load_that_ends_the_process_goes_to_the_processor_now_and_the_next_time(start, tiny, tmp_path):
    supervisor = start(0)
    model = supervisor.call(Load(str(tiny[1]))).model
    assert (model.gpu_layers, model.notes[-1].code) == (0, "gpu_set_aside")
    supervisor.close()
    assert len(list((tmp_path / "gpu").iterdir())) == 1
    later = start(99)
    model = later.call(Load(str(tiny[1]))).model
    assert (model.gpu_layers, model.notes[-1].code) == (0, "gpu_set_aside")
    assert later.call(Load(str(tiny[1]), gpu="retry")).model.gpu_layers == 3
