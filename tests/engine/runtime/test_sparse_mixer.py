"""Phi-3.5-MoE through the session: near ties between experts are weighed as the reference weighs them."""

import numpy as np
import pytest

from converter.convert import convert
from converter.gguf_file import read_header
from engine.protocol import Logits
from engine.runtime.cancellation import Cancellation
from engine.runtime.sparse_mixer import SparseMixer, expert_weights
from tests.helpers.checkpoints import make_phimoe
from tests.helpers.logits import llama_logits, reference_logits, relative_error


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    folder = make_phimoe(tmp_path_factory.mktemp("moe") / "moe")
    return folder, convert(folder, folder.parent / "moe.gguf", outtype="f32").path


def test_logits_equal_the_reference(load_session, mixture, token_ids, tmp_path):
    folder, path = mixture
    ids = token_ids[:80]
    expected = reference_logits(folder, ids)[-1:]
    load_session(path).logits(Logits(str(tmp_path / "l.npz"), tokens=tuple(ids)), Cancellation(), lambda *_: None)
    ours = np.load(tmp_path / "l.npz")["logits"][None]
    assert relative_error(ours, expected) < 1e-3
    assert relative_error(ours, expected) < 0.1 * relative_error(llama_logits(path, ids, n_ctx=4096)[-1:], expected)


def test_weights_of_a_known_case():
    scores = np.array([[1.0, 0.99, 0.5, -1.0]], np.float32)
    first, second = expert_weights(scores, 0.01)[0]
    assert first == pytest.approx(1 / (1 + np.exp(-0.01)))  # the runner-up lies within 2 %
    assert second == pytest.approx(1.0)  # nothing else is near it


def test_only_files_with_such_a_router_have_a_mixer(mixture, tiny):
    assert SparseMixer.of(read_header(mixture[1])) is not None
    assert SparseMixer.of(read_header(tiny[1])) is None
