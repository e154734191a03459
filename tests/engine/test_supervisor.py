"""Test that workers are replaced, that models come back, and where that ends."""

import queue
import threading

import pytest

from engine.errors import EngineError
from engine.protocol import Done, Load, Notice, Token, Unload, UseAdapters
from engine.supervisor import Supervisor
from tests.helpers.workers import Recorder, ask, fake_worker


@pytest.fixture
def start():
    supervisors = []

    def start_supervisor(behaviour, *arguments):
        states = queue.SimpleQueue()
        command = [*fake_worker(behaviour), *map(str, arguments)]
        supervisors.append(Supervisor(command, on_state=states.put))
        return supervisors[-1], states

    yield start_supervisor
    for supervisor in supervisors:
        supervisor.close(1.0)


def drain(states):
    kinds = []
    while not states.empty():
        kinds.append(states.get().kind)
    return kinds


def run(supervisor, request):
    recorder = Recorder()
    supervisor.submit(request, recorder)
    return recorder.wait()


def test_the_model_comes_back_after_a_death(start):
    supervisor, states = start("dies")
    supervisor.call(Load("model.gguf"))
    first = run(supervisor, ask("hi"))
    assert first.code == "worker_died"
    assert supervisor.model.name == "Fake"
    # The new worker has the model again: it dies of the chat, not of a missing model.
    assert run(supervisor, ask("hi")).code == "worker_died"
    assert "died" in drain(states)


def test_the_next_message_can_be_sent_from_the_callback_of_the_death(start):
    supervisor, _ = start("dies")
    supervisor.call(Load("model.gguf"))
    second = Recorder()
    first = Recorder(lambda event: supervisor.submit(ask("again"), second) if hasattr(event, "code") else None)
    supervisor.submit(ask("hi"), first)
    first.wait()
    second.wait()
    assert second.text.startswith("a")


def test_the_third_death_in_a_row_is_the_last_until_a_load(start):
    supervisor, states = start("dies")
    supervisor.call(Load("model.gguf"))
    assert [run(supervisor, ask("hi")).code for _ in range(4)] == ["worker_died"] * 3 + ["worker_unavailable"]
    assert drain(states)[-1] == "unavailable"
    assert supervisor.model is None
    assert supervisor.call(Load("model.gguf")).model.name == "Fake"
    assert run(supervisor, ask("hi")).code == "worker_died"


def test_choosing_adapters_between_deaths_is_no_sign_of_health(start):
    supervisor, _ = start("dies")
    supervisor.call(Load("model.gguf"))
    codes = []
    for _ in range(4):
        run(supervisor, UseAdapters(()))
        codes.append(run(supervisor, ask("hi")).code)
    assert codes == ["worker_died"] * 3 + ["worker_unavailable"]


def test_the_model_that_was_loading_is_not_loaded_again(start):
    supervisor, _ = start("dies loading")
    assert run(supervisor, Load("model.gguf")).code == "worker_died"
    assert supervisor.model is None
    assert run(supervisor, ask("hi")).code == "no_model"


def test_neither_is_the_model_that_it_replaced(start):
    supervisor, _ = start("dies replacing")
    supervisor.call(Load("first.gguf"))
    assert run(supervisor, Load("second.gguf")).code == "worker_died"
    assert run(supervisor, ask("hi")).code == "no_model"


def test_a_worker_that_dies_at_start_is_given_up(start):
    supervisor, states = start("dies at start")
    kinds = []
    while "unavailable" not in kinds:
        kinds.append(states.get(timeout=60).kind)
    assert kinds == ["starting", "died", "starting", "died", "starting", "unavailable"]
    assert run(supervisor, ask("hi")).code == "worker_unavailable"


def test_an_unloaded_model_stays_unloaded(start):
    supervisor, _ = start("answers")
    supervisor.call(Load("model.gguf"))
    assert supervisor.model is not None
    supervisor.call(Unload())
    assert supervisor.model is None


def test_a_worker_that_cannot_be_started_leaves_a_supervisor_that_says_so():
    states = []
    supervisor = Supervisor(["/nonexistent/worker"], on_state=states.append)
    assert [state.kind for state in states] == ["starting", "unavailable"]
    assert run(supervisor, ask("hi")).code == "worker_unavailable"


def test_nothing_starts_after_close(start):
    supervisor, states = start("answers")
    supervisor.close()
    assert run(supervisor, Load("model.gguf")).code == "worker_unavailable"
    assert drain(states)[-1] == "closed"


def test_an_answer_goes_on_on_the_processor_when_a_gpu_kills_the_worker(start):
    supervisor, states = start("dies of a gpu")
    assert supervisor.call(Load("model.gguf")).model.gpu_layers == 2
    recorder = Recorder()
    request_id = supervisor.submit(ask("hi"), recorder)
    assert isinstance(recorder.wait(), Done)
    assert recorder.text == "ab after (17,)"
    assert {event.id for event in recorder.events} == {request_id}
    assert [event.code for event in recorder.events if isinstance(event, Notice)] == ["moved_to_processor"]
    assert supervisor.model.gpu_layers == 0
    assert drain(states)[-2:] == ["ready", "reloaded"]


def test_a_load_that_dies_on_a_gpu_is_tried_on_the_processor(start):
    supervisor, _ = start("dies loading onto a gpu")
    assert supervisor.call(Load("model.gguf")).model.gpu_layers == 0
    assert supervisor.model.name == "Fake"


@pytest.mark.parametrize("load", [Load("model.gguf", gpu_layers=0), Load("model.gguf", gpu="avoid")])
def test_a_load_without_a_gpu_is_not_tried_again(start, load):
    supervisor, _ = start("dies loading")
    with pytest.raises(EngineError) as failure:
        supervisor.call(load)
    assert failure.value.code == "worker_died"


def test_an_answer_that_was_to_end_does_not_go_on(start):
    supervisor, _ = start("dies of a gpu when cancelled")
    supervisor.call(Load("model.gguf"))
    begun = threading.Event()
    recorder = Recorder(lambda event: isinstance(event, Token) and begun.set())
    request_id = supervisor.submit(ask("hi"), recorder)
    assert begun.wait(60)
    supervisor.cancel(request_id)
    assert recorder.wait().code == "worker_died"
    assert recorder.text == "a"


def test_a_load_outlives_a_worker_that_dies_looking_for_gpus(start, tmp_path):
    supervisor, _ = start("dies looking for a gpu once", tmp_path / "died")
    assert supervisor.call(Load("model.gguf")).model.name == "Fake"
