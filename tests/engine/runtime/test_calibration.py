"""Test that threads are measured where they are the engine's to choose, once, and that noise changes nothing."""

import itertools
import json

import pytest

from engine.errors import EngineError
from engine.protocol import Load
from engine.runtime import calibration
from engine.runtime.calibration import ThreadCache, Threads, calibrate, fastest
from engine.runtime.cancellation import Cancellation
from engine.runtime.hardware import physical_cores, processor_name
from engine.runtime.session import Session


class Machine:
    """Take a time for each step that depends on the number of threads; `hiccups` are steps that take ten times that."""

    def __init__(self, seconds, hiccups=()):
        self.seconds, self.hiccups, self.now, self.steps = seconds, hiccups, 0.0, []

    def step(self, threads):
        """Do a step."""
        self.steps.append(threads)
        self.now += self.seconds[threads] * (10 if len(self.steps) in self.hiccups else 1)

    def choose(self):
        """Choose among the numbers, the first one being the usual."""
        return fastest(self.step, list(self.seconds), lambda: self.now)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({1: 0.010, 2: 0.008}, 2),
        ({1: 0.010, 2: 0.020}, 1),
        ({1: 0.010, 2: 0.0097}, 1),
        ({7: 0.010, 8: 0.012, 4: 0.006}, 4),
        ({3: 0.010}, 3),
    ],
)
def test_the_usual_number_stays_unless_another_is_clearly_faster(seconds, chosen):
    assert Machine(seconds).choose() == chosen


def test_what_else_the_machine_does_is_no_reason():
    assert Machine({1: 0.05, 2: 0.049}, hiccups=(4,)).choose() == 1
    assert Machine({1: 0.01, 2: 0.011}, hiccups=(2, 4)).choose() == 1
    assert Machine({1: 0.01, 2: 0.005}, hiccups=(5,)).choose() == 2


@pytest.mark.parametrize("seconds", [0.001, 0.1, 0.15, 0.2, 0.3, 2.0])
def test_a_slow_model_is_not_measured_for_long(seconds):
    machine = Machine({7: seconds, 8: seconds, 4: seconds})
    assert machine.choose() == 7
    assert machine.now <= 2 * 0.5 + seconds


def test_the_candidates_take_turns():
    machine = Machine({1: 0.01, 2: 0.01})
    machine.choose()
    assert machine.steps[1:] == [1, 2] * 8


def test_a_calibrated_context_is_empty_and_computes_as_before(load_session, tiny, token_ids):
    context, prompt = load_session(tiny[1]).opened.context, token_ids[:40]
    context.fill(prompt, lambda *_: None)
    before = context.logits()
    cores = physical_cores()
    chosen = calibrate(context, Threads(max(1, cores - 1), cores), cores)
    assert 1 <= chosen.decode <= cores and 1 <= chosen.batch <= cores
    assert context.tokens == []
    context.fill(prompt, lambda *_: None)
    assert abs(context.logits() - before).max() < 1e-4


def test_on_a_slow_machine_the_usual_threads_stay(load_session, tiny):
    context, times = load_session(tiny[1]).opened.context, itertools.count(0, 5)
    assert calibrate(context, Threads(3, 5), 8, lambda: next(times)) == Threads(3, 5)
    assert next(times) <= 20
    assert context.tokens == []


def test_a_calibration_can_be_cancelled(load_session, tiny):
    context, cancellation = load_session(tiny[1]).opened.context, Cancellation()
    context.start(cancellation)
    cancellation.request()
    with pytest.raises(EngineError) as failure:
        calibrate(context, Threads(1, 1), 2)
    assert failure.value.code == "cancelled"


@pytest.fixture
def counted(monkeypatch):
    """Count the calibrations, for models of any size."""
    calls = []

    def count(*arguments):
        calls.append(arguments)
        return calibrate(*arguments)

    monkeypatch.setattr(calibration, "calibrate", count)
    monkeypatch.setattr(calibration, "SMALLEST_MODEL", 0)
    return calls


def load(native_log, path, **options):
    session = Session(native_log)
    try:
        return session.load(Load(str(path), **options), Cancellation(), lambda fraction: None).model
    finally:
        session.unload()


def test_a_model_is_measured_once_and_the_choice_kept(native_log, tiny, tmp_path, counted):
    folder = tmp_path / "made" / "here"
    first = load(native_log, tiny[1], thread_cache=str(folder))
    kept = json.loads((folder / "threads.json").read_text())
    assert list(kept.values()) == [[first.threads, first.batch_threads]]
    (key,) = kept
    assert all(part in key for part in (processor_name(), "phi3", "F32"))
    (folder / "threads.json").write_text(json.dumps({key: [3, 5]}))
    second = load(native_log, tiny[1], thread_cache=str(folder))
    assert (second.threads, second.batch_threads) == (3, 5)
    assert len(counted) == 1


def test_named_threads_and_no_folder_are_not_measured(native_log, tiny, tmp_path, counted):
    load(native_log, tiny[1])
    assert load(native_log, tiny[1], thread_cache=str(tmp_path), threads=2).threads == 2
    load(native_log, tiny[1], thread_cache=str(tmp_path), batch_threads=2)
    assert counted == []
    assert list(tmp_path.iterdir()) == []


def test_a_tiny_model_is_not_measured(native_log, tiny, tmp_path):
    load(native_log, tiny[1], thread_cache=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[", "[]", '{"a": 1}', '{"a": [0, 1]}', '{"a": ["2", 2]}', '{"a": [9999, 1]}'])
def test_a_damaged_file_is_as_none(tmp_path, text):
    (tmp_path / "threads.json").write_text(text)
    cache = ThreadCache(tmp_path)
    assert cache.find("a") is None
    cache.keep("a", Threads(2, 3))
    cache.keep("b", Threads(4, 5))
    assert (cache.find("a"), cache.find("b")) == (Threads(2, 3), Threads(4, 5))


def test_a_folder_that_cannot_be_made_costs_only_the_memory_of_the_choice(tmp_path):
    (tmp_path / "file").touch()
    cache = ThreadCache(tmp_path / "file")
    cache.keep("a", Threads(2, 3))
    assert cache.find("a") is None
