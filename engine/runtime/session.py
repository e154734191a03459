"""Hold the one loaded model and do with it what requests ask for."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
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
    LoadResult,
    Logits,
    LogitsResult,
    Message,
    UseAdapters,
)
from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Context, Embeddings, Progress
from engine.runtime.exact_runtime import takes_no_adapters
from engine.runtime.generation import Generation
from engine.runtime.model import LanguageModel
from engine.runtime.native_log import NativeLog
from engine.runtime.open_model import OpenModel, open_model
from engine.vision.prompt import picture_runs

# Room that is left for an answer when turns must be dropped and the request sets no bound.
_ANSWER_TOKENS = 512
_ANSWER_SHARE = 4


class Session:
    """Load and unload models, write answers, count tokens, give logits; one call at a time."""

    def __init__(self, log: NativeLog) -> None:
        self._log = log
        self._opened: OpenModel | None = None

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
        self._opened = open_model(request, self._log, cancellation, on_progress)
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
        if model.adapters.choose(request.adapters):
            context.adapters_changed()
            model.adapters.free_unused()

    def chat(
        self,
        request: Chat,
        cancellation: Cancellation,
        *,
        arrived: float,
        on_text: Callable[[str], None],
        on_dropped: Callable[[int], None],
        on_progress: Progress,
        on_approximate: Callable[[str], None] = lambda sentence: None,
    ) -> ChatResult:
        """Write an answer; `on_approximate` is told once where it stops being exact; raises EngineError."""
        opened = self.opened
        fitted = self._fit(request)
        if fitted.dropped_messages:
            on_dropped(fitted.dropped_messages)
        generation = Generation(
            opened.context,
            opened.model.vocabulary,
            request,
            sampling_bias=opened.model.sampling_bias,
            cancellation=cancellation,
            arrived=arrived,
            embed=lambda: self._embed(fitted.ids, cancellation, on_progress),
            on_text=on_text,
            on_progress=on_progress,
            faithful_context=opened.faithful_context,
            on_approximate=lambda: on_approximate(opened.approximation),
        )
        return generation.run(fitted.ids)

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
        if not all(token < n_vocab for token in tokens):
            sentence = f"Token ids must be between 0 and {n_vocab - 1}."
            raise EngineError("bad_request", sentence)
        if len(tokens) > context.limit:
            sentence = f"There are {len(tokens):,} tokens where {context.limit:,} fit."
            raise EngineError("prompt_too_long", sentence, "Allow a larger context.")
        embeddings = self._embed(tokens, cancellation, on_progress)
        context.close()
        context.start(cancellation)
        context.fill(tokens, on_progress, embeddings)
        _write_logits(Path(request.out), context.logits(), tokens, embeddings)
        return LogitsResult(len(tokens))

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
