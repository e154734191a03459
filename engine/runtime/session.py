"""Hold the one loaded model and do with it what requests ask for."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.chat.fitting import FittedPrompt, fit_prompt
from engine.errors import EngineError
from engine.protocol import (
    Chat,
    ChatResult,
    Count,
    CountResult,
    Load,
    LoadedModel,
    LoadResult,
    Logits,
    LogitsResult,
    Message,
    UseAdapters,
)
from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Context, Embeddings, Progress
from engine.runtime.exact_runtime import takes_no_adapters
from engine.runtime.generation import Basis, Generation
from engine.runtime.gpus import Gpus
from engine.runtime.model import LanguageModel
from engine.runtime.native_log import NativeLog
from engine.runtime.open_model import OpenModel, open_model
from engine.vision.prompt import picture_runs

# Room that is left for an answer when turns must be dropped and the request sets no bound.
_ANSWER_TOKENS = 512
_ANSWER_SHARE = 4
_GPU_FAILURES = ("gpu_failed", "out_of_memory")


class Session:
    """Load and unload models, write answers, count tokens, give logits; one call at a time."""

    def __init__(self, log: NativeLog, gpus: Gpus | None = None) -> None:
        self._log = log
        self._gpus = gpus or Gpus()
        self._opened: OpenModel | None = None
        self._request: Load | None = None

    @property
    def opened(self) -> OpenModel:
        """Give the loaded model; raises EngineError `no_model`."""
        if self._opened is None:
            raise EngineError("no_model", "No model is loaded.", "Load a model first.")
        return self._opened

    def load(self, request: Load, cancellation: Cancellation, on_progress: Callable[[float], None]) -> LoadResult:
        """Put a model in the place of the present one, which is gone even if this fails; raises EngineError."""
        started = time.perf_counter()
        self.unload()
        self._opened = open_model(request, self._log, cancellation, on_progress, self._gpus)
        self._request = request
        return LoadResult(self._opened.describe(), round((time.perf_counter() - started) * 1000, 3))

    def unload(self) -> None:
        """Give the model's memory back."""
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    def use_adapters(self, request: UseAdapters) -> None:
        """Put other adapters to use while the model stays; if this raises EngineError all is as before."""
        model, context = self.opened.model, self.opened.context
        if not (isinstance(model, LanguageModel) and isinstance(context, Context)):
            if request.adapters:
                raise takes_no_adapters()
            return
        changed = model.adapters.choose(request.adapters)
        assert self._request is not None
        self._request = replace(self._request, adapters=request.adapters)
        if changed:
            context.adapters_changed()
            model.adapters.free_unused()

    def chat(
        self,
        request: Chat,
        cancellation: Cancellation,
        *,
        arrived: float,
        on_text: Callable[[str, tuple[int, ...]], None],
        on_dropped: Callable[[int], None],
        on_progress: Progress,
        on_approximate: Callable[[str], None] = lambda sentence: None,
        on_moved: Callable[[LoadedModel], None] = lambda model: None,
    ) -> ChatResult:
        """Write an answer; raises EngineError.

        `on_approximate` is told once where it stops being exact, `on_moved` when a GPU has failed and the answer goes
        on with the model on the processor.
        """
        opened = self.opened
        _check_ids(request.written, opened.model.vocabulary.size)
        fitted = self._fit(request)
        if fitted.dropped_messages:
            on_dropped(fitted.dropped_messages)

        def basis(prompt: Sequence[int]) -> Basis:
            model, context = self.opened.model, self.opened.context
            return Basis(
                context,
                model.vocabulary,
                model.sampling_bias,
                prompt,
                lambda: self._embed(prompt, cancellation, on_progress),
            )

        def move(error: EngineError) -> Basis:
            self._move_to_processor(error)
            on_moved(self.opened.describe())
            # The new prompts have other numbers for the same pictures.
            return basis(self._fit(request).ids)

        generation = Generation(
            basis(fitted.ids),
            request,
            cancellation=cancellation,
            arrived=arrived,
            on_text=on_text,
            on_progress=on_progress,
            on_failure=move,
            faithful_context=opened.faithful_context,
            on_approximate=lambda: on_approximate(opened.approximation),
        )
        return generation.run()

    def count(self, request: Count) -> CountResult:
        """Count the tokens of a whole conversation; raises EngineError."""
        tokens = self.opened.prompts.encode(request.messages, request.num_crops)
        return CountResult(len(tokens), self.opened.context.limit)

    def logits(self, request: Logits, cancellation: Cancellation, on_progress: Progress) -> LogitsResult:
        """Evaluate tokens from scratch and write the logits after the last one; raises EngineError."""
        context, prompts, n_vocab = self.opened.context, self.opened.prompts, self.opened.model.vocabulary.size
        if request.tokens is not None:
            tokens = prompts.place(request.tokens, request.pictures, request.num_crops)
        else:
            tokens = prompts.encode(request.messages or (), request.num_crops)
        _check_ids([token for token in tokens if token >= 0], n_vocab)
        if len(tokens) > context.limit:
            sentence = f"There are {len(tokens):,} tokens where {context.limit:,} fit."
            raise EngineError("prompt_too_long", sentence, "Allow a larger context.")
        embeddings = self._embed(tokens, cancellation, on_progress)
        context.close()
        context.start(cancellation)
        context.fill(tokens, on_progress, embeddings)
        _write_logits(Path(request.out), context.logits(), tokens, embeddings)
        return LogitsResult(len(tokens))

    def _move_to_processor(self, error: EngineError) -> None:
        """Open the model again without the GPU that has failed; raises the error where that is not what failed."""
        opened, request = self.opened, self._request
        on_gpu = opened.offload.layers > 0 and isinstance(opened.model, LanguageModel)
        if error.code not in _GPU_FAILURES or not on_gpu or request is None:
            raise error
        print(f"The GPU failed: {error.message} {error.details or ''}", file=sys.stderr)  # noqa: T201
        self.unload()
        self._request = replace(request, gpu="avoid")
        self._opened = open_model(self._request, self._log, Cancellation(), lambda fraction: None, self._gpus)

    def _fit(self, request: Chat) -> FittedPrompt:
        limit = self.opened.context.limit
        reserve = min(request.max_tokens or _ANSWER_TOKENS, limit // _ANSWER_SHARE)

        def encode(messages: Sequence[Message]) -> list[int]:
            return self.opened.prompts.encode(messages, request.num_crops)

        return fit_prompt(request.messages, encode, limit=limit, reserve=reserve)

    def _embed(self, tokens: Sequence[int], cancellation: Cancellation, on_progress: Progress) -> Embeddings:
        """Encode the pictures of a prompt; raises EngineError, `cancelled` too."""

        def follow(done: float, total: int) -> None:
            cancellation.check()
            on_progress("picture", done, total)

        return self.opened.prompts.embeddings(tokens, follow)


def _check_ids(tokens: Sequence[int], n_vocab: int) -> None:
    if not all(0 <= token < n_vocab for token in tokens):
        raise EngineError("bad_request", f"Token ids must be between 0 and {n_vocab - 1}.")


def _write_logits(path: Path, logits: NDArray[np.float32], tokens: Sequence[int], embeddings: Embeddings) -> None:
    """Write a file in which picture k, counted from 1, is the ids -k."""
    arrays: dict[str, NDArray[Any]] = {"logits": logits, "tokens": np.asarray(tokens, np.int64)}
    runs = picture_runs(tokens)
    for place, run in enumerate(runs, 1):
        arrays["tokens"][run.start : run.stop] = -place
    if runs:
        arrays["image_embeds"] = np.concatenate([embeddings[-run.number] for run in runs])
    try:
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub mixes them with its own options
    except OSError as error:
        code = "disk_full" if error.errno == errno.ENOSPC else "bad_request"
        sentence = f"{path} cannot be written: {(error.strerror or 'unknown').lower()}."
        raise EngineError(code, sentence, "Choose another place.") from error
