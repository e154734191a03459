"""What all tests need: Qt without a screen, and the tiny vision model."""

import os

import pytest

from tests.helpers.fixtures import unpack_checkpoint

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session")
def vision_checkpoint(tmp_path_factory):
    """Unpack the checkpoint once."""
    return unpack_checkpoint("phi3v-tiny", tmp_path_factory.mktemp("phi3v"))


@pytest.fixture(scope="session")
def vision_model(vision_checkpoint, tmp_path_factory):
    """Convert it once, in float32; the result names the model and its companion."""
    from converter.convert import convert

    return convert(vision_checkpoint, tmp_path_factory.mktemp("gguf") / "tiny.gguf", outtype="f32", name="Tiny vision")
