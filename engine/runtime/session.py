"""Hold the one loaded model and do with it what requests ask for."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.chat.chat_format import chat_format_of
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
from engine.runtime.calibration import SMALLEST_MODEL, ThreadCache, Threads, calibrate
from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Context, Embeddings, Progress
from engine.runtime.context_plan import ContextPlan
from engine.runtime.exact_runtime import ExactRuntime, approximation, open_exactly, takes_no_adapters
from engine.runtime.generation import Generation
from engine.runtime.hardware import (
    choose_threads,
    find_devices,
    free_memory,
    physical_cores,
    processor_name,
    supports_offload,
)
from engine.runtime.interface import ChatContext, ChatModel
from engine.runtime.load_notes import load_notes
from engine.runtime.model import LanguageModel
from engine.runtime.model_file import ModelFile
from engine.runtime.native_log import NativeLog
from engine.runtime.offload import Offload, choose_offload
from engine.runtime.prompts import Prompts
from engine.runtime.read_ahead import read_ahead
from engine.vision.picture_reader import open_picture_reader
from engine.vision.prompt import picture_runs

# Room that is left for an answer when turns must be dropped and the request sets no bound.
_ANSWER_TOKENS = 512
_ANSWER_SHARE = 4
# The part of the progress of a load that reading the file from a disk takes.
_READING_SHARE = 0.4


class Session:
    """Load and unload models, write answers, count tokens, give logits; one call at a time."""

    def __init__(self, log: NativeLog) -> None:
        self._log = log
        self._model: ChatModel | None = None
        self._context: ChatContext | None = None
        self._prompts: Prompts | None = None
        self._faithful_context = 0
        self._approximation = ""

    def load(self, request: Load, cancellation: Cancellation, on_progress: Callable[[float], None]) -> LoadResult:
        """Put a model in the place of the present one, which is gone even if this fails; raises EngineError."""
        started = time.perf_counter()
        self.unload()
        try:
            loaded = self._load(request, cancellation, on_progress)
        except BaseException:
            self.unload()
            raise
        return LoadResult(loaded, round((time.perf_counter() - started) * 1000, 3))

    def unload(self) -> None:
        """Give the model's memory back."""
        if self._context:
            self._context.close()
        if self._model:
            self._model.close()
        if self._prompts:
            self._prompts.close()
        self._model = self._context = self._prompts = None
        self._faithful_context, self._approximation = 0, ""

    def use_adapters(self, request: UseAdapters) -> None:
        """Put other adapters to use while the model stays; if this raises EngineError all is as before."""
        model, context, _ = self._loaded()
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
        model, context, _ = self._loaded()
        fitted = self._fit(request)
        if fitted.dropped_messages:
            on_dropped(fitted.dropped_messages)
        generation = Generation(
            context,
            model.vocabulary,
            request,
            sampling_bias=model.sampling_bias,
            cancellation=cancellation,
            arrived=arrived,
            embed=lambda: self._embed(fitted.ids, cancellation, on_progress),
            on_text=on_text,
            on_progress=on_progress,
            faithful_context=self._faithful_context,
            on_approximate=lambda: on_approximate(self._approximation),
        )
        return generation.run(fitted.ids)

    def count(self, request: Count) -> CountResult:
        """Count the tokens of a whole conversation; raises EngineError."""
        _, context, prompts = self._loaded()
        return CountResult(len(prompts.encode(request.messages, request.num_crops)), context.limit)

    def logits(self, request: Logits, cancellation: Cancellation, on_progress: Progress) -> LogitsResult:
        """Evaluate tokens from scratch and write the logits after the last one; raises EngineError."""
        model, context, prompts = self._loaded()
        if request.tokens is not None:
            tokens = prompts.place(request.tokens, request.pictures, request.num_crops)
        else:
            tokens = prompts.encode(request.messages or (), request.num_crops)
        if not all(token < model.vocabulary.size for token in tokens):
            sentence = f"Token ids must be between 0 and {model.vocabulary.size - 1}."
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

    def _load(self, request: Load, cancellation: Cancellation, on_progress: Callable[[float], None]) -> LoadedModel:
        header = ModelFile.read(Path(request.path))
        threads = Threads(*choose_threads(request.threads, request.batch_threads, physical_cores()))
        exact = open_exactly(header, request, log=self._log, cancellation=cancellation, on_progress=on_progress)
        if isinstance(exact, ExactRuntime):
            self._model, self._context = exact.model, exact.context
            self._prompts = Prompts(chat_format_of(exact.model.metadata, exact.model.vocabulary), None)
            return self._describe(header, exact.offload, threads)
        self._faithful_context, self._approximation = header.faithful_context, approximation(header, exact)
        offload = choose_offload(
            request.gpu_layers,
            supported=supports_offload(),
            devices=find_devices(),
            layers=header.layers,
            size_bytes=header.size_bytes,
        )
        if offload.layers == 0:
            _check_memory(header.size_bytes)
        read_ahead(header.path, cancellation, lambda fraction: on_progress(_READING_SHARE * fraction))
        model = self._model = LanguageModel(
            header,
            gpu_layers=offload.layers,
            adapters=request.adapters,
            log=self._log,
            cancellation=cancellation,
            on_progress=lambda fraction: on_progress(_READING_SHARE + (1 - _READING_SHARE) * fraction),
        )
        pictures = open_picture_reader(
            model.path,
            Path(request.companion) if request.companion else None,
            Path(request.picture_cache) if request.picture_cache else None,
            embedding=model.embedding,
            threads=threads.batch,
            use_gpu=offload.layers > 0,
        )
        chat_format = chat_format_of(model.metadata, model.vocabulary, has_companion=pictures is not None)
        self._prompts = Prompts(chat_format, pictures)
        limit = min(request.context or model.context_train, model.context_train)
        self._context = Context(
            model,
            ContextPlan(limit, model.longrope_line, model.short_cells),
            threads=threads.decode,
            batch_threads=threads.batch,
            on_gpu=offload.layers > 0,
        )
        if _may_measure(request, model, offload):
            threads = _measured_threads(self._context, model, Path(request.thread_cache), threads, cancellation)
        return self._describe(header, offload, threads)

    def _describe(self, header: ModelFile, offload: Offload, threads: Threads) -> LoadedModel:
        model, context, prompts = self._loaded()
        return LoadedModel(
            name=model.name,
            architecture=model.architecture,
            quantization=model.quantization,
            parameters=model.parameters,
            size_bytes=model.size_bytes,
            context_train=model.context_train,
            context=context.limit,
            has_template=prompts.chat_format.problem is None,
            runs_on=offload.runs_on,
            gpu_layers=offload.layers,
            threads=threads.decode,
            batch_threads=threads.batch,
            num_crops=prompts.num_crops,
            faithful_context=self._faithful_context,
            notes=load_notes(header, prompts.chat_format),
        )

    def _loaded(self) -> tuple[ChatModel, ChatContext, Prompts]:
        if not (self._model and self._context and self._prompts):
            raise EngineError("no_model", "No model is loaded.", "Load a model first.")
        return self._model, self._context, self._prompts

    def _fit(self, request: Chat) -> FittedPrompt:
        _, context, prompts = self._loaded()
        reserve = min(request.max_tokens or _ANSWER_TOKENS, context.limit // _ANSWER_SHARE)

        def encode(messages: Sequence[Message]) -> list[int]:
            return prompts.encode(messages, request.num_crops)

        return fit_prompt(request.messages, encode, limit=context.limit, reserve=reserve)

    def _embed(self, tokens: Sequence[int], cancellation: Cancellation, on_progress: Progress) -> Embeddings:
        """Encode the pictures of a prompt; raises EngineError, `cancelled` too."""
        _, _, prompts = self._loaded()

        def follow(done: float, total: int) -> None:
            cancellation.check()
            on_progress("picture", done, total)

        return prompts.embeddings(tokens, follow)


def _may_measure(request: Load, model: LanguageModel, offload: Offload) -> bool:
    """Tell whether threads are the engine's to choose, and matter."""
    named = request.threads or request.batch_threads
    return bool(request.thread_cache) and not named and offload.layers == 0 and model.size_bytes >= SMALLEST_MODEL


def _measured_threads(
    context: Context, model: LanguageModel, folder: Path, usual: Threads, cancellation: Cancellation
) -> Threads:
    """Give a context the threads that measured best, now or at an earlier load; raises EngineError `cancelled`."""
    cores, cache = physical_cores(), ThreadCache(folder)
    parts = (processor_name(), f"{cores} cores", model.architecture, model.quantization, str(model.size_bytes))
    key = ", ".join(parts)
    threads = cache.find(key)
    if threads is None:
        context.start(cancellation)
        threads = calibrate(context, usual, cores)
        cache.keep(key, threads)
    context.set_threads(threads.decode, threads.batch)
    return threads


def _check_memory(size_bytes: int) -> None:
    """Refuse a model that would push everything else out of memory."""
    free = free_memory()
    if size_bytes > free:
        sentence = f"The model needs {size_bytes / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free."
        raise EngineError("out_of_memory", sentence, "Close other programs, or choose a smaller model.")


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
