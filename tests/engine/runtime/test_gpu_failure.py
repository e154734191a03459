"""Test what happens when a GPU cannot take a model, and when it fails in the middle of an answer."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from llama_cpp import llama_cpp as llama
from PIL import Image

from engine.errors import EngineError
from engine.gpu_drivers import driver_fingerprint
from engine.gpu_record import GpuRecord
from engine.launch import child_environment
from engine.protocol import Chat, Load, Message, Sampling
from engine.runtime import gpus as runtime_gpus
from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Context
from engine.runtime.gpus import Gpus
from engine.runtime.model import LanguageModel
from engine.runtime.session import Session
from engine.vision.clip import MtmdTower
from tests.helpers.gpus import pretend_gpu
from tests.helpers.workers import ask

FAILED = -3  # what llama_decode gives when the graph could not be computed
ADDRESS_ERROR = "exception: access violation reading 0x0000000000000000"


@pytest.fixture
def session(native_log):
    session = Session(native_log)
    yield session
    session.unload()


def load(session, path, **options):
    return session.load(Load(str(path), **options), Cancellation(), lambda fraction: None).model


class Answer:
    """Hold what a session says while it answers."""

    def __init__(self, session, request):
        self.pieces, self.models = [], []
        self.result = session.chat(
            request,
            Cancellation(),
            arrived=0.0,
            on_text=lambda text, ids: self.pieces.append((text, ids)),
            on_dropped=lambda count: None,
            on_progress=lambda stage, done, total: None,
            on_moved=self.models.append,
        )


def fail_at(monkeypatch, call, fault=None):
    """Let one evaluation, counted from now, end with an error, and all others be as they are."""
    real, calls = llama.llama_decode, []

    def decode(handle, batch):
        calls.append(batch.n_tokens)
        if len(calls) != call:
            return real(handle, batch)
        if fault is not None:
            raise fault
        return FAILED

    monkeypatch.setattr(llama, "llama_decode", decode)


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), Sampling(temperature=1, seed=5, repeat_penalty=1.2)])
@pytest.mark.parametrize(("call", "fault"), [(1, None), (9, None), (9, OSError(ADDRESS_ERROR))])
def test_an_answer_goes_on_on_the_processor(monkeypatch, session, tiny, sampling, call, fault):
    request = ask("Name three fruits.", sampling=sampling, max_tokens=24)
    load(session, tiny[1], gpu_layers=0)
    whole = Answer(session, request).result
    pretend_gpu(monkeypatch)
    assert load(session, tiny[1]).gpu_layers == 3
    fail_at(monkeypatch, call, fault)
    answer = Answer(session, request)
    assert answer.result.text == whole.text == "".join(text for text, _ in answer.pieces)
    assert answer.result.completion_tokens == whole.completion_tokens
    (moved,) = answer.models
    assert (moved.gpu_layers, moved.runs_on) == (0, "CPU")
    assert [note.code for note in moved.notes] == ["gpu_set_aside"]
    # What comes next is on the processor too, and says nothing of it.
    again = Answer(session, request)
    assert again.result.text == whole.text
    assert again.models == []


def test_pictures_go_along_to_the_processor(monkeypatch, session, vision_model, tmp_path):
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)).save(picture)
    messages = (Message("user", "What is this?", (str(picture),)),)
    request = Chat(messages, Sampling(temperature=0), max_tokens=6, num_crops=1)
    load(session, vision_model.path, gpu_layers=0)
    whole = Answer(session, request).result
    pretend_gpu(monkeypatch)
    # The tower stays on the processor: mtmd of this build has no GPU either.
    monkeypatch.setattr(MtmdTower, "__init__", _no_tower)
    load(session, vision_model.path)
    fail_at(monkeypatch, 4)
    answer = Answer(session, request)
    assert answer.result.text == whole.text
    assert len(answer.models) == 1


def _no_tower(*arguments, **options):
    raise EngineError("model_invalid", "It cannot be loaded.")


def test_the_processor_has_nowhere_to_go(monkeypatch, session, tiny):
    load(session, tiny[1])
    fail_at(monkeypatch, 1)
    with pytest.raises(EngineError) as failure:
        Answer(session, ask("Hello", max_tokens=4))
    assert failure.value.code == "internal"


def test_a_begun_answer_goes_on_after_its_tokens(session, starter):
    request = ask("Name three fruits.", max_tokens=24)
    load(session, starter, gpu_layers=0)
    whole = Answer(session, request)
    ids = [token for _, ids in whole.pieces for token in ids]
    assert len(ids) == whole.result.completion_tokens
    for taken in (1, 5, len(ids)):
        rest = Answer(session, Chat(request.messages, request.sampling, 24, written=tuple(ids[:taken])))
        assert rest.result.text == whole.result.text
        assert rest.result.finish_reason == whole.result.finish_reason
        assert [token for _, part in rest.pieces for token in part] == ids[taken:]


def test_ids_of_a_begun_answer_must_be_the_models(session, tiny):
    load(session, tiny[1])
    request = ask("Hello", max_tokens=4, written=(1, 10**6))
    with pytest.raises(EngineError, match="Token ids must be between"):
        Answer(session, request)


def test_fewer_layers_are_tried_when_memory_lacks_and_then_none(monkeypatch, session, starter):
    pretend_gpu(monkeypatch)
    tried = []
    real = LanguageModel.__init__

    def load_at_most(most):
        def construct(self, header, *, offload, **options):
            tried.append(offload.layers)
            if offload.layers > most:
                raise EngineError("out_of_memory", "There is not enough memory for this model.")
            real(self, header, offload=offload, **options)

        monkeypatch.setattr(LanguageModel, "__init__", construct)

    load_at_most(16)
    model = load(session, starter)
    assert (model.gpu_layers, model.notes) == (15, ())
    assert model.runs_on == "Pretended GPU and CPU"
    assert "15 of 31 layers" in model.runs_on_reason
    assert tried == [31, 15]
    load_at_most(0)
    model = load(session, starter)
    assert tried == [31, 15, 31, 15, 0]
    assert (model.gpu_layers, model.runs_on) == (0, "CPU")
    assert "not enough memory" in model.notes[-1].message


@pytest.mark.parametrize("logits", [np.nan, np.inf])
def test_a_gpu_that_computes_no_numbers_is_not_used(monkeypatch, session, tiny, logits):
    pretend_gpu(monkeypatch)
    real = Context.logits
    monkeypatch.setattr(Context, "logits", lambda self: real(self) * logits)
    model = load(session, tiny[1])
    assert model.gpu_layers == 0
    assert "no numbers" in model.notes[-1].message


def test_a_cancelled_load_is_not_tried_elsewhere(monkeypatch, session, tiny):
    pretend_gpu(monkeypatch)
    cancellation = Cancellation()
    with pytest.raises(EngineError) as failure:
        session.load(Load(str(tiny[1])), cancellation, lambda fraction: cancellation.request())
    assert failure.value.code == "cancelled"


LOAD_AND_DIE = """
import os, signal, sys
from pathlib import Path
from engine.gpu_record import GpuRecord
from engine.protocol import Load
from engine.runtime import gpus
from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Context
from engine.runtime.native_log import NativeLog
from engine.runtime.session import Session
from tests.helpers.gpus import pretended_gpu
gpus.find_gpus = lambda: (pretended_gpu(),)
Context.append = lambda *arguments: os.kill(os.getpid(), signal.SIGSEGV)
Session(NativeLog(), gpus.Gpus(GpuRecord(Path(sys.argv[2])))).load(Load(sys.argv[1]), Cancellation(), lambda f: None)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself this signal")
def test_after_a_crash_the_gpu_is_left_alone_until_it_is_asked_for(monkeypatch, native_log, tiny, tmp_path):
    command = [sys.executable, "-c", LOAD_AND_DIE, str(tiny[1]), str(tmp_path / "gpu")]
    ended = subprocess.run(command, env=child_environment(), stderr=subprocess.DEVNULL, check=False)
    assert ended.returncode == -signal.SIGSEGV
    pretend_gpu(monkeypatch)
    session = Session(native_log, Gpus(GpuRecord(tmp_path / "gpu")))
    for _ in range(2):
        model = load(session, tiny[1])
        assert (model.gpu_layers, model.notes[-1].code) == (0, "gpu_set_aside")
    model = load(session, tiny[1], gpu="retry")
    assert (model.gpu_layers, model.notes) == (3, ())
    assert load(session, tiny[1]).gpu_layers == 3
    session.unload()
    assert list((tmp_path / "gpu").iterdir()) == []


def test_gpus_are_left_alone_where_looking_for_them_was_fatal(monkeypatch, native_log, tiny, tmp_path):
    mark = {"devices": [], "drivers": driver_fingerprint(), "started": 1.0}
    (tmp_path / f"attempt-{2**22 + 1}.json").write_text(json.dumps(mark))
    kept_out = []
    monkeypatch.setattr(runtime_gpus, "has_gpu_code", lambda: True)
    monkeypatch.setattr(runtime_gpus, "leave_gpus_alone", lambda: kept_out.append(True))
    pretend_gpu(monkeypatch)
    used = Gpus(GpuRecord(tmp_path))
    assert [device.kind for device in used.look()] == ["cpu"]
    assert kept_out == [True]
    session = Session(native_log, used)
    model = load(session, tiny[1])
    assert (model.runs_on_reason, model.notes[-1].code) == ("the graphics driver crashed", "gpu_set_aside")
    # Who wants none need not hear of it.
    assert load(session, tiny[1], gpu_layers=0).notes == ()
    assert "next time" in load(session, tiny[1], gpu="retry").notes[-1].message
    session.unload()
    assert not GpuRecord(tmp_path).crashed()
