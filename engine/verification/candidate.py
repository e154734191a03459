"""Evaluate a GGUF file as the chat does: one context that grows, a prefix that is kept."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from engine.chat.chat_format import chat_format_of
from engine.protocol import Adapter, Load, Message, Runtime
from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Context
from engine.runtime.context_plan import ContextPlan
from engine.runtime.exact_runtime import ExactRuntime, open_exactly
from engine.runtime.hardware import choose_threads, physical_cores
from engine.runtime.interface import ChatContext, ChatModel
from engine.runtime.model import LanguageModel
from engine.runtime.model_file import ModelFile
from engine.runtime.native_log import NativeLog
from engine.verification.bands import Sequence as TokenSequence
from engine.verification.compare import Rows


class Candidate:
    """Hold a GGUF model on the processor."""

    def __init__(self, path: Path, longest: int, runtime: Runtime = "auto", adapters: tuple[Adapter, ...] = ()) -> None:
        """Load the model and its adapters for sequences of up to `longest` tokens; raises EngineError."""
        self._log = NativeLog()
        self._cancellation = Cancellation()
        request = Load(str(path), longest, gpu_layers=0, adapters=adapters, runtime=runtime)
        self._model, self._context = self._open(request)

    def _open(self, request: Load) -> tuple[ChatModel, ChatContext]:
        header = ModelFile.read(Path(request.path))
        exact = open_exactly(
            header, request, log=self._log, cancellation=self._cancellation, on_progress=lambda _: None
        )
        if isinstance(exact, ExactRuntime):
            return exact.model, exact.context
        model = LanguageModel(
            header,
            adapters=request.adapters,
            log=self._log,
            cancellation=self._cancellation,
            on_progress=lambda _: None,
        )
        threads, batch_threads = choose_threads(0, 0, physical_cores())
        plan = ContextPlan(request.context, model.longrope_line, model.short_cells)
        return model, Context(model, plan, threads=threads, batch_threads=batch_threads, on_gpu=False)

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text; any ids where the model has no tokenizer."""
        vocabulary = self._model.vocabulary
        if vocabulary.has_text:
            return vocabulary.encode(text)
        drawn: list[int] = np.random.default_rng(0).integers(0, vocabulary.size, len(text)).tolist()
        return drawn

    def encode_chat(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of a conversation as the chat gives them to the model."""
        return chat_format_of(self._model.metadata, self._model.vocabulary).encode(messages)

    def rows(self, ids: list[int], sequence: TokenSequence, on_position: Callable[[], None]) -> Rows:
        """Return float32 logits `[all positions of the bands in order, n_vocab]`, each after the tokens up to it."""
        self._context.start(self._cancellation)
        rows = []
        for band in sequence.bands:
            for position in band.positions:
                self._context.fill(ids[: position + 1], lambda *_: None)
                rows.append(self._context.logits())
                on_position()
        return np.stack(rows)

    @property
    def near_tie_share(self) -> float | None:
        """Return how often near ties between experts changed their weights so far; None without such a router."""
        mixer = self._model.sparse_mixer if isinstance(self._model, LanguageModel) else None
        return mixer.near_ties / max(mixer.routings, 1) if mixer else None

    def close(self) -> None:
        """Free the model."""
        self._context.close()
        self._model.close()
