"""Share the converted tiny vision model between the tests of pictures."""

import pytest

from engine.vision.blas_threads import BlasThreads
from engine.vision.embedding_cache import EmbeddingCache
from engine.vision.encoder import PictureEncoder


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
