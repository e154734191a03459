"""Hold the evaluated tokens of one conversation for PyTorch, as engine/runtime/context.py does for llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engine.protocol import Stage
from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Embeddings, Progress, common_prefix, no_memory
from engine.runtime.context_plan import ContextPlan, batch_size
from engine.runtime.hardware import free_memory
from engine.runtime.model import CELL_PADDING
from engine.runtime.sampling import Sampler
from engine.torch_runtime.cache import Cache
from engine.torch_runtime.model import ExactModel
from engine.torch_runtime.placement import Placement, cache_bytes_per_token


class ExactContext:
    """Own the cache of keys and values: `tokens` are exactly those that it holds.

    With LongRoPE a sequence that crosses the line is evaluated again from its first token, as the reference does.
    """

    def __init__(
        self, model: ExactModel, placement: Placement, limit: int, *, threads: int, batch_threads: int
    ) -> None:
        """Take memory for the shortest conversation, so that a lack of it shows at once; raises EngineError."""
        config = model.config
        line = config.original_context if config.rope_scaling else None
        self._model = model
        self._plan = ContextPlan(limit, line, -(-(line or 0) // CELL_PADDING) * CELL_PADDING)
        self._threads = threads
        self._batch_threads = batch_threads
        self._on_gpu = placement.device != "cpu"
        self._batch = batch_size(2 * config.hidden_size * config.ff_intermediate_size, on_gpu=self._on_gpu)
        self._bytes_per_token = cache_bytes_per_token(config, placement.dtype)
        self._cancellation = Cancellation()
        self._logits = np.zeros(0, np.float32)
        self._cache = Cache()
        self.tokens: list[int] = []
        model.phi3small.before_product = lambda: self._cancellation.check()
        self._reserve(1)

    @property
    def limit(self) -> int:
        """Give the most tokens of a conversation."""
        return self._plan.limit

    @property
    def cells(self) -> int:
        """Give the tokens for which memory is allocated."""
        return self._cache.capacity

    def close(self) -> None:
        """Free the memory of keys and values and forget what it held."""
        self._cache = Cache()
        self.tokens = []

    def start(self, cancellation: Cancellation) -> None:
        """Let `cancellation` stop the evaluations from now on."""
        self._cancellation = cancellation

    def fill(self, prompt: Sequence[int], on_progress: Progress, embeddings: Embeddings | None = None) -> int:
        """Make the context hold `prompt`; evaluate what is new, return how many tokens were reused.

        The model sees no pictures, so there are no embeddings of them.
        """
        assert not embeddings
        shared = common_prefix(self.tokens, prompt[:-1])
        stage: Stage = "prefill"
        if self._crosses_line(len(prompt)):
            stage = "reread" if shared else "prefill"
            shared = 0
        # Without a common start a smaller cache costs nothing, and gives memory back.
        if shared == 0 and self.cells != self._plan.cells_for(len(prompt)):
            self.close()
        self._keep(shared)
        self._evaluate(prompt[shared:], stage, on_progress)
        return shared

    def append(self, token: int, on_progress: Progress) -> None:
        """Evaluate one more token."""
        if self._crosses_line(len(self.tokens) + 1):
            everything = [*self.tokens, token]
            self._reserve(len(everything))
            self._keep(0)
            self._evaluate(everything, "reread", on_progress)
            return
        self._reserve(len(self.tokens) + 1)
        self._decode([token], len(self.tokens) + 1)

    def logits(self) -> NDArray[np.float32]:
        """Give the logits after the last token."""
        bias = self._model.logit_bias
        return self._logits if bias is None else self._logits + bias

    def sample(self, sampler: Sampler) -> int:
        """Draw a token from the logits after the last token."""
        return sampler.sample_from(self._logits)

    def _crosses_line(self, length: int) -> bool:
        return bool(self.tokens) and self._plan.is_long(length) != self._cache.uses_long_factors

    def _evaluate(self, tokens: Sequence[int], stage: Stage, on_progress: Progress) -> None:
        length = len(self.tokens) + len(tokens)
        self._reserve(length)
        for start in range(0, len(tokens), self._batch):
            on_progress(stage, start, len(tokens))
            self._decode(tokens[start : start + self._batch], length)
        on_progress(stage, len(tokens), len(tokens))

    def _decode(self, tokens: Sequence[int], length: int) -> None:
        """Evaluate one batch of a sequence of `length` tokens; when it does not succeed the context is as before."""
        self._cancellation.check()
        torch.set_num_threads(self._threads if len(tokens) == 1 else self._batch_threads)
        try:
            logits = self._model.phi3small.evaluate(list(tokens), self._cache, length=length)
        except RuntimeError as error:
            if "memory" not in str(error):
                raise
            raise no_memory(self.cells) from error
        self._logits = logits[0].cpu().numpy()
        self.tokens.extend(tokens)

    def _keep(self, count: int) -> None:
        self._cache.truncate(count)
        del self.tokens[count:]

    def _reserve(self, tokens: int) -> None:
        """Make room for a conversation of `tokens` tokens; raises EngineError, and then nothing has changed."""
        if tokens <= self.cells:
            return
        cells = self._plan.cells_for(tokens)
        # What is held is copied a layer at a time.
        needed = (cells - self.cells) * self._bytes_per_token
        if not self._on_gpu and needed > free_memory():
            raise no_memory(cells)
        try:
            self._model.phi3small.reserve(self._cache, cells)
        except RuntimeError as error:
            raise no_memory(cells) from error
