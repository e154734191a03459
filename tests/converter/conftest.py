"""Share checkpoints and their conversions between the converter's tests."""

import numpy as np
import pytest

from converter.convert import convert
from tests.helpers.checkpoints import make_phi3, make_phimoe

SMALL_VOCABULARY = 2000


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


@pytest.fixture(scope="session")
def ids():
    """Give tokens of the checkpoints with a small vocabulary."""
    return np.random.default_rng(3).integers(3, SMALL_VOCABULARY, 40).tolist()


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Make a checkpoint of a variant once, with a small vocabulary and no tokenizer; tests leave it as it is."""
    made = {}

    def checkpoint(variant):
        if variant not in made:
            folder = tmp_path_factory.mktemp("adapted") / variant
            if variant == "moe":
                make_phimoe(folder, vocab_size=SMALL_VOCABULARY, num_local_experts=4, tokenizer=False)
            else:
                make_phi3(folder, variant, vocab_size=SMALL_VOCABULARY, pad_token_id=0, tokenizer=False)
            made[variant] = folder
        return made[variant]

    return checkpoint
