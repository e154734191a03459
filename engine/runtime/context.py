"""Hold the evaluated tokens of one conversation in a llama.cpp context that grows with it."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.protocol import Stage
from engine.runtime.cancellation import Cancellation
from engine.runtime.context_plan import ContextPlan, batch_size
from engine.runtime.hardware import free_memory
from engine.runtime.model import LanguageModel
from engine.runtime.sampling import Sampler
from engine.vision.prompt import picture_runs

Progress = Callable[[Stage, float, float], None]
Floats = NDArray[np.float32]
# Rows `[tokens, embedding]` of each picture, by the negative id that stands for it in a prompt.
Embeddings = Mapping[int, Floats]

_SEQUENCE = 0
_ABORTED = 2


class Context:
    """Own llama.cpp's context: `tokens` are exactly those whose keys and values it holds, pictures as negative ids.

    With LongRoPE a sequence of up to the line is evaluated with the short factors and a longer one, from its first
    token, with the long ones, as the reference does; llama.cpp chooses once per context, so crossing the line opens
    another context and evaluates everything again.
    """

    def __init__(
        self, model: LanguageModel, plan: ContextPlan, *, threads: int, batch_threads: int, on_gpu: bool
    ) -> None:
        """Open the smallest context, so that a lack of memory shows at once."""
        self._model = model
        self._plan = plan
        self._threads = threads
        self._batch_threads = batch_threads
        self._on_gpu = on_gpu
        self._batch = batch_size(model.widest_product, on_gpu=on_gpu)
        self._abort = _abort_callback()
        self._cancellation = Cancellation()
        self._handle: Any = None
        self._cells = 0
        self._long = False
        self._embeddings: Embeddings = {}
        self.tokens: list[int] = []
        self._reopen(1)

    @property
    def limit(self) -> int:
        """Give the most tokens of a conversation."""
        return self._plan.limit

    @property
    def cells(self) -> int:
        """Give the tokens for which memory is allocated."""
        return self._cells

    def close(self) -> None:
        """Free the context and forget what it held."""
        if self._handle:
            llama.llama_free(self._handle)
        self._handle = None
        self._cells = 0
        self.tokens = []

    def clear(self) -> None:
        """Forget the tokens, and keep the memory for those to come."""
        if self._handle:
            self._keep(0)

    def set_threads(self, threads: int, batch_threads: int) -> None:
        """Compute with other numbers of threads from now on."""
        self._threads, self._batch_threads = threads, batch_threads
        if self._handle:
            llama.llama_set_n_threads(self._handle, threads, batch_threads)

    def start(self, cancellation: Cancellation) -> None:
        """Let `cancellation` stop the evaluations from now on."""
        self._cancellation = cancellation
        if self._handle:
            self._arm()

    def adapters_changed(self) -> None:
        """Forget all keys and values, which depend on the model's adapters, and take the adapters in use now."""
        if self._handle:
            self._keep(0)
            self._model.adapters.apply(self._handle)

    def fill(self, prompt: Sequence[int], on_progress: Progress, embeddings: Embeddings | None = None) -> int:
        """Make the context hold `prompt`; evaluate what is new, return how many tokens were reused."""
        self._embeddings = embeddings or {}
        shared = common_prefix(self.tokens, prompt[:-1])
        stage: Stage = "prefill"
        if self._plan.is_long(len(prompt)) != self._long:
            stage = "reread" if shared else "prefill"
            shared = 0
        # Without a common start a smaller context costs nothing, and gives memory back.
        if shared == 0 and self._cells != self._plan.cells_for(len(prompt)):
            self._reopen(len(prompt))
        else:
            shared = self._keep(shared)
            if len(prompt) > self._cells:
                self._grow(len(prompt))
        self._evaluate(prompt, shared, stage, on_progress)
        return shared

    def append(self, token: int, on_progress: Progress) -> None:
        """Evaluate one more token."""
        length = len(self.tokens) + 1
        if self._plan.is_long(length) != self._long:
            everything = [*self.tokens, token]
            self._reopen(length)
            self._evaluate(everything, 0, "reread", on_progress)
            return
        if length > self._cells:
            self._grow(length)
        self._decode([token], None)

    def logits(self) -> NDArray[np.float32]:
        """Give the logits after the last token."""
        pointer = llama.llama_get_logits_ith(self._handle, -1)
        logits = np.ctypeslib.as_array(pointer, (self._model.vocabulary.size,)).copy()
        return logits if self._model.logit_bias is None else logits + self._model.logit_bias

    def sample(self, sampler: Sampler) -> int:
        """Draw a token from the logits after the last token."""
        return sampler.sample(self._handle)

    def _evaluate(self, tokens: Sequence[int], start: int, stage: Stage, on_progress: Progress) -> None:
        """Evaluate `tokens` from the place `start` on."""
        total = len(tokens) - start
        for first, batch, rows in self._batches(tokens, start):
            on_progress(stage, first - start, total)
            self._decode(batch, rows)
        on_progress(stage, total, total)

    def _batches(self, tokens: Sequence[int], start: int) -> Iterator[tuple[int, Sequence[int], Floats | None]]:
        """Cut a prompt into batches, each either of text or, with its embeddings, of a part of one picture."""
        runs = {run.start: run for run in picture_runs(tokens)}
        cuts = sorted({0, len(tokens), *runs, *(run.stop for run in runs.values())})
        for begin, end in pairwise(cuts):
            for first in range(max(begin, start), end, self._batch):
                last = min(first + self._batch, end)
                rows = self._embeddings[-runs[begin].number][first - begin : last - begin] if begin in runs else None
                yield first, tokens[first:last], rows

    def _decode(self, tokens: Sequence[int], rows: Floats | None) -> None:
        """Evaluate one batch, `rows` in place of tokens; when it does not succeed the context is as before."""
        self._cancellation.check()
        ids = (llama.llama_token * len(tokens))(*tokens)
        batch = llama.llama_batch_get_one(ids, len(tokens))
        if rows is not None:
            rows = np.ascontiguousarray(rows, np.float32)
            batch.token, batch.embd = None, rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        status = self._native_decode(batch)
        if status == 0:
            self.tokens.extend(tokens)
            return
        self._keep(len(self.tokens))
        if status == _ABORTED:
            self._cancellation.check()
        if status == -2:
            raise no_memory(self._cells)
        code, sentence = "internal", "The model could not be evaluated."
        if self._on_gpu:
            code, sentence = "gpu_failed", "The graphics card failed."
        raise EngineError(code, sentence, "Load the model again.", f"llama_decode gave {status}")

    def _native_decode(self, batch: Any) -> int:
        """Evaluate a batch; what drivers throw reaches Python on Windows alone, elsewhere it ends the process."""
        try:
            return int(llama.llama_decode(self._handle, batch))
        except OSError as error:
            raise EngineError("gpu_failed", "The graphics card failed.", "Load the model again.", str(error)) from error

    def _keep(self, count: int) -> int:
        """Drop all tokens but the first `count`; give how many are left (models with a running state keep none)."""
        memory = llama.llama_get_memory(self._handle)
        if not llama.llama_memory_seq_rm(memory, _SEQUENCE, count, -1):
            llama.llama_memory_clear(memory, True)
            count = 0
        del self.tokens[count:]
        return count

    def _reopen(self, tokens: int) -> None:
        """Replace the context by an empty one of the size and kind that `tokens` tokens need."""
        cells = self._plan.cells_for(tokens)
        self._check_memory(cells, self._cells * self._model.cache_bytes_per_token)
        self.close()
        self._long = self._plan.is_long(tokens)
        self._open(cells)

    def _grow(self, tokens: int) -> None:
        """Move the evaluated tokens into a larger context; when memory lacks for it nothing changes."""
        cells = self._plan.cells_for(tokens)
        old_cells, per_token = self._cells, self._model.cache_bytes_per_token
        size = int(llama.llama_state_seq_get_size(self._handle, _SEQUENCE))
        self._check_memory(cells, old_cells * per_token - size)
        state = np.empty(size, np.uint8)
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        llama.llama_state_seq_get_data(self._handle, pointer, size, _SEQUENCE)
        held = self.tokens
        self.close()
        try:
            self._open(cells)
        except EngineError:
            self._open(old_cells)
            raise
        finally:
            if self._handle and llama.llama_state_seq_set_data(self._handle, pointer, size, _SEQUENCE):
                self.tokens = held

    def _check_memory(self, cells: int, given_back: int) -> None:
        if not self._on_gpu and cells * self._model.cache_bytes_per_token > free_memory() + given_back:
            raise no_memory(cells)

    def _open(self, cells: int) -> None:
        params = llama.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = params.n_ubatch = self._batch
        params.n_threads = self._threads
        params.n_threads_batch = self._batch_threads
        if self._model.full_precision:
            # Flash attention computes in 16 bits whatever the cache holds.
            params.type_k = params.type_v = llama.GGML_TYPE_F32
            params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        if self._long:
            params.yarn_attn_factor = self._model.long_attention_scale
        if self._model.sparse_mixer:
            params.cb_eval = self._model.sparse_mixer.callback
        # Keys outside of a sliding window are needed again when a later turn goes back to an earlier one.
        params.swa_full = True
        self._handle = llama.llama_init_from_model(self._model.handle, params)
        if not self._handle:
            raise no_memory(cells)
        self._cells = cells
        self._arm()
        self._model.adapters.apply(self._handle)

    def _arm(self) -> None:
        llama.llama_set_abort_callback(self._handle, self._abort, self._cancellation.address)


def _abort_callback() -> Any:
    """Give C's strlen as llama.cpp's abort callback.

    llama.cpp asks it before every step of a graph, some hundred thousand times in a second. A Python callback would
    cost a tenth of the speed; strlen of the cancellation's flag is 0 until the end is asked for, and 1 from then on.
    """
    library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(library.strlen, llama.ggml_abort_callback)


def no_memory(cells: int) -> EngineError:
    """Make the error for a conversation that outgrows the memory."""
    sentence = f"There is not enough memory for a conversation of {cells:,} tokens."
    return EngineError("out_of_memory", sentence, "Close other programs, or start a new conversation.")


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Count the tokens that two sequences begin with alike."""
    for index, (left, right) in enumerate(zip(first, second, strict=False)):
        if left != right:
            return index
    return min(len(first), len(second))
