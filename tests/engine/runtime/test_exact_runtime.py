"""PyTorch computes phi-3-small where it can, llama.cpp where it must, and the user is told which and why."""

import importlib.util
import json
import subprocess
import sys

import pytest

from converter.gguf_file import read_header
from converter.gguf_writer import string
from converter.metadata import BLOCK_SIZE_KEY
from engine.errors import EngineError
from engine.launch import child_environment
from engine.protocol import Adapter, Chat, Load, Message, Sampling
from engine.runtime import exact_runtime
from engine.runtime.cancellation import Cancellation
from engine.runtime.session import Session
from engine.torch_runtime import placement as placement_module
from engine.torch_runtime.gguf_config import exact_config
from engine.torch_runtime.placement import place
from tests.helpers.gguf_files import edited


def loaded(native_log, path, **options):
    """Load a model; give what is told of it and the session."""
    session = Session(native_log)
    result = session.load(Load(str(path), gpu_layers=0, **options), Cancellation(), lambda fraction: None)
    return result.model, session


def notices_of(session, words):
    """Answer a prompt of some length; give the notices."""
    found = []
    session.chat(
        Chat((Message("user", "a " * words),), Sampling(temperature=0), max_tokens=3),
        Cancellation(),
        arrived=0.0,
        on_text=lambda text, ids: None,
        on_dropped=lambda count: None,
        on_progress=lambda stage, done, total: None,
        on_approximate=found.append,
    )
    session.unload()
    return found


def test_pytorch_is_exact_at_any_length(native_log, small):
    model, session = loaded(native_log, small[1])
    assert model.runs_on == "CPU, PyTorch (exact)"
    assert model.faithful_context == 0
    assert (model.name, model.quantization, model.architecture) == ("Phi 3small-tiny", "F32", "granite_swa")
    assert notices_of(session, 1200) == []


def test_llama_cpp_says_from_where_on_it_is_approximate(native_log, small):
    model, session = loaded(native_log, small[1], runtime="llama.cpp")
    assert "PyTorch" not in model.runs_on
    assert model.faithful_context == 1024
    assert notices_of(session, 100) == []
    model, session = loaded(native_log, small[1], runtime="llama.cpp")
    (sentence,) = notices_of(session, 1200)
    assert sentence.startswith("This answer is approximate from token 1,024 on:")
    assert sentence.endswith("PyTorch computes it exactly. Load it with that runtime.")


def test_both_runtimes_describe_the_model_alike(native_log, small):
    (exact, first), (native, second) = (loaded(native_log, small[1], runtime=name) for name in ("pytorch", "llama.cpp"))
    first.unload()
    second.unload()
    for name in ("name", "architecture", "quantization", "parameters", "size_bytes", "context_train", "has_template"):
        assert getattr(exact, name) == getattr(native, name), name


@pytest.fixture
def without_torch(monkeypatch):
    """Let PyTorch look as if it were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(exact_runtime.importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    monkeypatch.setattr(exact_runtime, "_use_training_packages", lambda: False)  # whatever this user has installed


def test_without_pytorch_the_notice_says_what_to_install(native_log, small, without_torch):
    _, session = loaded(native_log, small[1])
    (sentence,) = notices_of(session, 1200)
    assert sentence.endswith("is not installed. Install the training extra.")
    with pytest.raises(EngineError, match="not installed") as failure:
        loaded(native_log, small[1], runtime="pytorch")
    assert (failure.value.code, failure.value.remedy) == ("model_unsupported", "Install the training extra.")


def test_without_memory_llama_cpp_takes_over(native_log, small, monkeypatch):
    monkeypatch.setattr(placement_module, "free_memory", lambda: 100_000_000)
    model, session = loaded(native_log, small[1])
    assert model.faithful_context == 1024
    (sentence,) = notices_of(session, 1200)
    assert "On PyTorch the model needs 0.3 GB of memory and 0.1 GB are free." in sentence
    with pytest.raises(EngineError) as failure:
        loaded(native_log, small[1], runtime="pytorch")
    assert failure.value.code == "out_of_memory"


def test_files_of_older_imports_stay_on_llama_cpp(native_log, small, tmp_path):
    old = edited(small[1], tmp_path / "old.gguf", {}, [BLOCK_SIZE_KEY])
    _, session = loaded(native_log, old)
    (sentence,) = notices_of(session, 1200)
    assert sentence.endswith("does not say what PyTorch needs to compute it exactly. Import the checkpoint again.")
    with pytest.raises(EngineError, match="does not say"):
        loaded(native_log, old, runtime="pytorch")


def test_other_models_and_adapters_are_refused_on_pytorch(native_log, tiny, small, tmp_path):
    with pytest.raises(EngineError, match="Only Phi-3-small"):
        loaded(native_log, tiny[1], runtime="pytorch")
    with pytest.raises(EngineError, match="takes no adapters"):
        loaded(native_log, small[1], runtime="pytorch", adapters=(Adapter("a.gguf"),))
    model, session = loaded(native_log, tiny[1])
    session.unload()
    assert "PyTorch" not in model.runs_on


def test_a_file_without_a_tokenizer_is_loaded_and_a_damaged_one_is_one_sentence(native_log, small, tmp_path):
    path = edited(small[1], tmp_path / "m.gguf", {"tokenizer.ggml.model": string("none")})
    model, session = loaded(native_log, path)
    session.unload()
    assert not model.has_template
    damaged = edited(small[1], tmp_path / "d.gguf", {"tokenizer.ggml.model": string("nonsense")})
    with pytest.raises(EngineError, match="does not know the tokenizer"):
        loaded(native_log, damaged)


def test_a_cancelled_load_leaves_no_model(native_log, small):
    cancellation = Cancellation()
    session = Session(native_log)
    with pytest.raises(EngineError) as failure:
        session.load(Load(str(small[1])), cancellation, lambda fraction: cancellation.request())
    assert failure.value.code == "cancelled"
    with pytest.raises(EngineError, match="No model is loaded"):
        _ = session.opened


def test_the_gpu_takes_what_fits(monkeypatch, small):
    cuda = placement_module.torch.cuda
    config = exact_config(read_header(small[1]))
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "get_device_name", lambda: "A GPU")
    monkeypatch.setattr(cuda, "mem_get_info", lambda: (8_000_000_000, 8_000_000_000))
    chosen = place(config, full_precision=False, allow_gpu=True)
    assert (chosen.device, chosen.runs_on) == ("cuda", "A GPU, PyTorch (exact)")
    assert chosen.offload(4).layers == 5
    assert place(config, full_precision=False, allow_gpu=False).device == "cpu"
    monkeypatch.setattr(cuda, "mem_get_info", lambda: (1_000_000, 8_000_000_000))
    assert place(config, full_precision=False, allow_gpu=True).device == "cpu"


def test_pytorch_is_imported_only_for_a_model_that_needs_it(starter, small):
    program = (
        "import json, sys; from engine.runtime.session import *; from engine.runtime.native_log import NativeLog;"
        "session = Session(NativeLog()); seen = [];\n"
        "for path in sys.argv[1:]:\n"
        "    session.load(Load(path), Cancellation(), lambda fraction: None); seen.append('torch' in sys.modules)\n"
        "session.unload(); print(json.dumps(seen))"
    )
    command = [sys.executable, "-c", program, str(starter), str(small[1])]
    ended = subprocess.run(command, capture_output=True, env=child_environment(), timeout=120, check=True)
    assert json.loads(ended.stdout) == [False, True]
