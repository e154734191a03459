"""Make one tiny checkpoint and one GGUF file for all tests of the window, and have the Starter ready."""

import subprocess
import sys
from pathlib import Path

import pytest

from converter.convert import convert
from engine.library.folders import starter_path
from tests.helpers.checkpoints import make_phi3


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_phi3(tmp_path_factory.mktemp("checkpoints") / "Phi-tiny", hidden_size=256, intermediate_size=512)


@pytest.fixture(scope="session")
def gguf_file(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(checkpoint, tmp_path_factory.mktemp("gguf") / "tiny-f16.gguf", outtype="f16", name="Tiny Phi-3").path


@pytest.fixture(scope="session")
def starter() -> Path:
    """Return the Starter, built first if it is not there yet."""
    if not starter_path().is_file():
        starter_path().parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "converter", "starter", str(starter_path())]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    return starter_path()
