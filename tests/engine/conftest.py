"""Share tiny models, the Starter and workers between the engine's tests."""

import numpy as np
import pytest

from converter.convert import convert
from engine.client import EngineClient
from engine.library.folders import starter_path
from engine.protocol import Load
from engine.runtime.cancellation import Cancellation
from engine.runtime.native_log import NativeLog
from engine.runtime.session import Session
from tests.helpers.checkpoints import make_phi3
from tests.helpers.fixtures import unpack_checkpoint

LONGROPE_LINE = 300  # not a multiple of llama.cpp's cell padding


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Make a random checkpoint and its GGUF file once for each name."""
    made = {}

    def checkpoint(name, variant="mini", **changes):
        if name not in made:
            folder = make_phi3(tmp_path_factory.mktemp("checkpoints") / name, variant, **changes)
            made[name] = folder, convert(folder, folder.parent / f"{name}.gguf", outtype="f32").path
        return made[name]

    return checkpoint


@pytest.fixture(scope="session")
def tiny(checkpoints):
    """Give a random Phi-3-mini: its directory and its GGUF file."""
    return checkpoints("tiny")


@pytest.fixture(scope="session")
def longrope(checkpoints):
    """Give a random Phi-3-mini-128k whose line is near."""
    return checkpoints("longrope", "mini-128k", original_max_position_embeddings=LONGROPE_LINE)


@pytest.fixture(scope="session")
def windowed(checkpoints):
    """Give a random Phi-3-mini-4k with a small sliding window."""
    return checkpoints("windowed", "mini-4k", sliding_window=100)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Give a random Phi-3-small: its directory and its GGUF file in 32 bits."""
    folder = tmp_path_factory.mktemp("small")
    checkpoint = unpack_checkpoint("phi3small-tiny", folder)
    return checkpoint, convert(checkpoint, folder / "small.gguf", outtype="f32").path


@pytest.fixture(scope="session")
def small_longrope(tmp_path_factory):
    """Give the same weights with LongRoPE beyond 1,024 tokens."""
    folder = tmp_path_factory.mktemp("small-longrope")
    checkpoint = unpack_checkpoint("phi3small-tiny", folder)
    (checkpoint / "config.longrope.json").replace(checkpoint / "config.json")
    return checkpoint, convert(checkpoint, folder / "small-longrope.gguf", outtype="f32").path


@pytest.fixture(scope="session")
def token_ids():
    """Give random tokens of text."""
    return np.random.default_rng(3).integers(300, 32000, 1200).tolist()


@pytest.fixture(scope="session")
def starter():
    """Give the built-in model."""
    assert starter_path().is_file(), "the Starter is missing: make setup"
    return starter_path()


@pytest.fixture(scope="session")
def native_log():
    """Keep llama.cpp's log callback alive for the whole run."""
    return NativeLog()


@pytest.fixture
def load_session(native_log):
    """Load models in this process."""
    sessions = []

    def load(path, **options):
        session = Session(native_log)
        sessions.append(session)
        session.load(Load(str(path), **options), Cancellation(), lambda fraction: None)
        return session

    yield load
    for session in sessions:
        session.unload()


@pytest.fixture(scope="module")
def starter_client(starter):
    """Give a client of a real worker that has the Starter loaded."""
    client = EngineClient()
    client.call(Load(str(starter), context=1024))
    yield client
    client.close()
