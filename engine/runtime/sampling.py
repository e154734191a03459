"""Draw the next token with llama.cpp's samplers."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from engine.protocol import Sampling

_RANDOM_SEED = 0xFFFFFFFF
_KEEP_ONE = 1
# llama_token_data
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Sampler:
    """Own a chain of samplers for one answer."""

    def __init__(
        self,
        sampling: Sampling,
        vocabulary_size: int,
        prompt: Sequence[int],
        bias: NDArray[np.float32] | None = None,
    ) -> None:
        """Build the chain; penalties count the end of the prompt too, as the reference's do.

        `bias` `[n_vocab]` is a part of the model, so it comes before everything else.
        """
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        if bias is not None:
            llama.llama_sampler_chain_add(self._chain, _bias_sampler(bias))
        for sampler in _samplers(sampling, vocabulary_size):
            llama.llama_sampler_chain_add(self._chain, sampler)
        if _has_penalties(sampling):
            text = [token for token in prompt if token >= 0]  # ids of pictures are negative
            for token in text[-sampling.penalty_last_n :]:
                llama.llama_sampler_accept(self._chain, token)

    def sample(self, context_handle: Any) -> int:
        """Draw a token from the logits after the last evaluated token."""
        return int(llama.llama_sampler_sample(self._chain, context_handle, -1))

    def sample_from(self, logits: NDArray[np.float32]) -> int:
        """Draw a token from logits `[n_vocab]` that were computed elsewhere, as llama.cpp draws from its own."""
        candidates = np.empty(len(logits), _CANDIDATE)
        candidates["id"], candidates["logit"], candidates["p"] = np.arange(len(logits)), logits, 0.0
        array = llama.llama_token_data_array(
            candidates.ctypes.data_as(ctypes.POINTER(llama.llama_token_data)), len(logits), -1, False
        )
        llama.llama_sampler_apply(self._chain, ctypes.byref(array))
        assert array.selected >= 0, "the chain ends with a sampler that selects"
        token = int(array.data[array.selected].id)
        llama.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        """Free the chain."""
        llama.llama_sampler_free(self._chain)


def sampling_bias(
    n_vocab: int, logit_bias: NDArray[np.float32] | None, masked_tokens: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    """Give what a sampler adds to a graph's logits: a model's bias, and -inf for masked tokens; None for nothing."""
    if logit_bias is None and not len(masked_tokens):
        return None
    bias = np.zeros(n_vocab, np.float32) if logit_bias is None else logit_bias.copy()
    bias[masked_tokens] = -np.inf
    return bias


def _bias_sampler(logit_bias: NDArray[np.float32]) -> Any:
    """Add a number to every logit; llama.cpp finds the entries by their place when they are in order."""
    entries = np.empty(len(logit_bias), np.dtype([("token", np.int32), ("bias", np.float32)]))
    entries["token"], entries["bias"] = np.arange(len(logit_bias)), logit_bias
    pointer = entries.ctypes.data_as(llama.llama_logit_bias_p)
    return llama.llama_sampler_init_logit_bias(len(logit_bias), len(entries), pointer)


def _has_penalties(sampling: Sampling) -> bool:
    penalties = (sampling.repeat_penalty - 1, sampling.frequency_penalty, sampling.presence_penalty)
    return sampling.penalty_last_n > 0 and any(penalties)


def _samplers(sampling: Sampling, vocabulary_size: int) -> list[Any]:
    """Give the samplers in llama.cpp's own order."""
    chain = []
    if _has_penalties(sampling):
        chain.append(
            llama.llama_sampler_init_penalties(
                vocabulary_size,
                sampling.penalty_last_n,
                sampling.repeat_penalty,
                sampling.frequency_penalty,
                sampling.presence_penalty,
            )
        )
    if sampling.temperature == 0:
        return [*chain, llama.llama_sampler_init_greedy()]
    if sampling.top_k:
        chain.append(llama.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        chain.append(llama.llama_sampler_init_top_p(sampling.top_p, _KEEP_ONE))
    if sampling.min_p > 0:
        chain.append(llama.llama_sampler_init_min_p(sampling.min_p, _KEEP_ONE))
    seed = _RANDOM_SEED if sampling.seed is None else sampling.seed
    return [*chain, llama.llama_sampler_init_temp(sampling.temperature), llama.llama_sampler_init_dist(seed)]
