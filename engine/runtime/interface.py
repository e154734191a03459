"""Say what a session needs of a model and of its context, whichever runtime computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Embeddings, Progress
from engine.runtime.sampling import Sampler
from engine.runtime.vocabulary import Vocabulary


class ChatModel(Protocol):
    """Answer what is known about a loaded model."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Give the model's tokens."""

    @property
    def sampling_bias(self) -> NDArray[np.float32] | None:
        """Give what a sampler adds to the logits of the graph: the bias, and -inf for masked tokens."""

    @property
    def name(self) -> str:
        """Give the model's name, or the file's."""

    @property
    def architecture(self) -> str:
        """Give `general.architecture`."""

    @property
    def quantization(self) -> str:
        """Give the file type as llama.cpp's tools call it, such as Q4_K_M; empty when it has no name."""

    @property
    def size_bytes(self) -> int:
        """Give the size of the weights in the file."""

    @property
    def parameters(self) -> int:
        """Give the number of weights."""

    @property
    def context_train(self) -> int:
        """Give the longest sequence that the model was trained for."""

    def metadata(self, key: str) -> str | None:
        """Give a value of the file's metadata as text."""

    def close(self) -> None:
        """Free the model; contexts of it must be closed before."""


class ChatContext(Protocol):
    """Hold the evaluated tokens of one conversation; `tokens` are exactly those."""

    tokens: list[int]

    @property
    def limit(self) -> int:
        """Give the most tokens of a conversation."""

    def close(self) -> None:
        """Free the memory of keys and values and forget what it held."""

    def start(self, cancellation: Cancellation) -> None:
        """Let `cancellation` stop the evaluations from now on."""

    def fill(self, prompt: Sequence[int], on_progress: Progress, embeddings: Embeddings | None = None) -> int:
        """Make the context hold `prompt`; evaluate what is new, return how many tokens were reused."""

    def append(self, token: int, on_progress: Progress) -> None:
        """Evaluate one more token."""

    def logits(self) -> NDArray[np.float32]:
        """Give the logits after the last token."""

    def sample(self, sampler: Sampler) -> int:
        """Draw a token from the logits after the last token."""
