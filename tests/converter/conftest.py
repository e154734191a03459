"""Share checkpoints and their conversions between the converter's tests."""

import numpy as np
import pytest

from converter.convert import convert
from tests.helpers.checkpoints import make_phi3


@pytest.fixture(scope="session")
def token_ids():
    return np.random.default_rng(7).integers(0, 32000, 64).tolist()


@pytest.fixture(scope="session")
def mini(tmp_path_factory):
    """Make a checkpoint of Phi-3-mini's structure once."""
    return make_phi3(tmp_path_factory.mktemp("mini") / "mini")


@pytest.fixture(scope="session")
def mini_gguf(mini, tmp_path_factory):
    """Convert that checkpoint once."""
    out = tmp_path_factory.mktemp("gguf") / "mini.gguf"
    convert(mini, out, outtype="f32")
    return out
