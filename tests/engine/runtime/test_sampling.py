"""Logits from elsewhere are sampled as llama.cpp samples its own."""

import numpy as np
import pytest

from engine.protocol import Sampling
from engine.runtime.sampling import Sampler, sampling_bias


def quiet(stage, done, total):
    """Take progress and do nothing."""


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0),
        Sampling(temperature=0, repeat_penalty=1.5),
        Sampling(1.3, seed=7),
        Sampling(2.0, top_k=0, top_p=1.0, min_p=0.0, seed=3),
        Sampling(1.0, frequency_penalty=0.5, presence_penalty=0.5, penalty_last_n=8, seed=11),
    ],
)
def test_the_same_tokens_are_drawn(load_session, tiny, token_ids, sampling):
    context = load_session(tiny[1]).opened.context
    prompt = token_ids[:20]
    context.fill(prompt, quiet)
    logits = context.logits()
    bias = sampling_bias(len(logits), None, np.array([int(logits.argmax())]))
    theirs, ours = (Sampler(sampling, len(logits), prompt, bias) for _ in range(2))
    for _ in range(12):
        assert ours.sample_from(logits) == context.sample(theirs)
    theirs.close()
    ours.close()


def test_masked_tokens_are_never_drawn():
    logits = np.linspace(-1, 1, 50, dtype=np.float32)
    bias = sampling_bias(50, np.ones(50, np.float32), np.array([48, 49]))
    sampler = Sampler(Sampling(temperature=0), 50, [1], bias)
    assert sampler.sample_from(logits) == 47
    sampler.close()


def test_nothing_is_added_for_models_without_bias_and_masks():
    assert sampling_bias(50, None, np.zeros(0, np.int64)) is None
