"""Phi-3-small in a session: the constant logit bias and the tokens that are never sampled."""

import numpy as np
import pytest
import torch

from engine.protocol import Chat, Logits, Message, Sampling
from engine.runtime.cancellation import Cancellation
from engine.torch_runtime.cache import Cache
from engine.torch_runtime.phi3small import Phi3Small
from tests.helpers.fixtures import DATA


def test_logits_equal_the_reference_without_clamps(load_session, small, tmp_path):
    checkpoint, gguf = small
    ids = np.load(DATA / "phi3small-tiny" / "ref" / "seq200.npz")["input_ids"].ravel().tolist()
    out = tmp_path / "logits.npz"
    load_session(gguf, runtime="llama.cpp").logits(Logits(str(out), tokens=tuple(ids)), Cancellation(), lambda *_: None)
    reference = Phi3Small.load(checkpoint, torch.float32)
    object.__setattr__(reference.config, "gegelu_limit", None)
    expected = reference.evaluate(ids, Cache())[0].numpy()
    ours = np.load(out)["logits"]
    assert np.linalg.norm(ours - expected) / np.linalg.norm(expected) < 1e-4


@pytest.mark.parametrize("runtime", ["llama.cpp", "pytorch"])
def test_masked_tokens_are_never_sampled(load_session, small, runtime):
    session = load_session(small[1], runtime=runtime)
    model = session.opened.model
    bias = model.sampling_bias
    assert len(model.masked_tokens) > 90
    assert np.isneginf(bias[model.masked_tokens]).all()
    assert np.isfinite(np.delete(bias, model.masked_tokens)).all()
    drawn = []
    vocabulary_piece = model.vocabulary.piece
    model.vocabulary.piece = lambda token: drawn.append(token) or vocabulary_piece(token)
    for seed in range(3):
        request = Chat(
            (Message("user", "Hello"),), Sampling(temperature=5.0, top_k=0, top_p=1, min_p=0, seed=seed), max_tokens=200
        )
        session.chat(
            request,
            Cancellation(),
            arrived=0.0,
            on_text=lambda text, ids: None,
            on_dropped=lambda _: None,
            on_progress=lambda *_: None,
        )
    assert len(drawn) > 100
    assert not set(drawn) & set(model.masked_tokens.tolist())
