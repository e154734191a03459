"""Make one tiny checkpoint and one GGUF file for all tests of the window."""

from pathlib import Path

import pytest

from converter.convert import convert
from tests.helpers.checkpoints import make_phi3


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_phi3(tmp_path_factory.mktemp("checkpoints") / "Phi-tiny", hidden_size=256, intermediate_size=512)


@pytest.fixture(scope="session")
def gguf_file(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(checkpoint, tmp_path_factory.mktemp("gguf") / "tiny-f16.gguf", outtype="f16", name="Tiny Phi-3").path
