"""Share the converted tiny vision model between the tests of pictures."""

import pytest

from converter.convert import convert
from engine.vision.blas_threads import BlasThreads
from engine.vision.embedding_cache import EmbeddingCache
from engine.vision.encoder import PictureEncoder
from tests.helpers.fixtures import unpack_checkpoint


@pytest.fixture(scope="session")
def vision_checkpoint(tmp_path_factory):
    """Unpack the checkpoint once."""
    return unpack_checkpoint("phi3v-tiny", tmp_path_factory.mktemp("phi3v"))


@pytest.fixture(scope="session")
def vision_model(vision_checkpoint, tmp_path_factory):
    """Convert it once, in float32; the result names the model and its companion."""
    return convert(vision_checkpoint, tmp_path_factory.mktemp("gguf") / "tiny.gguf", outtype="f32", name="Tiny vision")


@pytest.fixture(scope="session")
def encoder(vision_model):
    """Give an encoder on the CPU that keeps what it has encoded."""
    made = PictureEncoder(vision_model.companion, EmbeddingCache(None), threads=2)
    yield made
    made.close()


@pytest.fixture(scope="session")
def threads():
    """Give two threads for products."""
    made = BlasThreads(2)
    yield made
    made.close()
