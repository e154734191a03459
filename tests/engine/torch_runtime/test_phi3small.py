"""Phi-3-small in PyTorch equals the float64 reference, clamps and block-sparse attention included."""

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.torch_runtime.cache import Cache
from engine.torch_runtime.phi3small import Phi3Small
from engine.torch_runtime.phi3small_config import Phi3SmallConfig
from tests.helpers.fixtures import DATA, unpack_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_checkpoint("phi3small-tiny", tmp_path_factory.mktemp("phi3small"))


def load(checkpoint: Path, case: str) -> tuple[Phi3Small, list[int], torch.Tensor, torch.Tensor]:
    reference = np.load(DATA / "phi3small-tiny" / "ref" / f"{case}.npz")
    model = Phi3Small.load(checkpoint, torch.float32)
    if case.startswith("longrope"):
        model.config = Phi3SmallConfig.read(checkpoint / "config.longrope.json")
    ids = reference["input_ids"].ravel().tolist()
    return model, ids, torch.tensor(reference["positions"]), torch.tensor(reference["logits"])


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).norm(dim=-1) / theirs.norm(dim=-1)).max().item()


@pytest.mark.parametrize("case", ["chat_en", "chat_sys", "seq200", "seq3000", "longrope_seq200", "longrope_seq3000"])
def test_equals_the_reference(checkpoint: Path, case: str) -> None:
    model, ids, positions, logits = load(checkpoint, case)
    assert relative_error(model.evaluate(ids, Cache(), positions), logits) < 5e-6
    assert model.clamped_values > 0  # these weights do reach the limit of 20


def test_chunks_and_single_tokens_continue_the_cache(checkpoint: Path) -> None:
    model, ids, positions, logits = load(checkpoint, "seq3000")
    cache = Cache()
    for first in range(0, len(ids) - 1, 700):
        model.evaluate(ids[first : min(first + 700, len(ids) - 1)], cache)
    last = model.evaluate(ids[-1:], cache)
    assert positions[-1] == len(ids) - 1
    assert relative_error(last, logits[-1:]) < 5e-6


def test_truncated_cache_forgets(checkpoint: Path) -> None:
    model, ids, _, _ = load(checkpoint, "seq200")
    cache = Cache()
    model.evaluate(ids[:150], cache)
    model.evaluate([1, 2, 3], cache)
    cache.truncate(150)
    assert relative_error(model.evaluate(ids[150:], cache), model.evaluate(ids, Cache())) < 1e-5


def test_crossing_the_long_rope_line_needs_a_new_cache(checkpoint: Path) -> None:
    model, _, _, _ = load(checkpoint, "longrope_seq200")
    cache = Cache()
    model.evaluate([1] * model.config.original_context, cache)
    with pytest.raises(ValueError, match="crosses the line"):
        model.evaluate([1], cache)
