"""Open a model with what answers need of it: its context, its prompts, and a description of where it runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.chat.chat_format import chat_format_of
from engine.errors import EngineError
from engine.protocol import Load, LoadedModel, LoadNote
from engine.runtime.calibration import Threads, measured_threads
from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Context
from engine.runtime.context_plan import ContextPlan, batch_size
from engine.runtime.exact_runtime import ExactRuntime, approximation, open_exactly
from engine.runtime.gpus import Gpus, cannot_take
from engine.runtime.hardware import choose_threads, free_memory, physical_cores
from engine.runtime.interface import ChatContext, ChatModel
from engine.runtime.load_notes import load_notes
from engine.runtime.model import LanguageModel
from engine.runtime.model_file import ModelFile
from engine.runtime.native_log import NativeLog
from engine.runtime.offload import Demand, Offload, fewer_layers, on_processor
from engine.runtime.prompts import Prompts
from engine.runtime.read_ahead import read_ahead
from engine.vision.companion import find_companion
from engine.vision.picture_reader import open_picture_reader

# The part of the progress of a load that reading the file from a disk takes.
_READING_SHARE = 0.4
# For how long a conversation a GPU keeps room when a load leaves that open.
_USUAL_CONTEXT = 8192
# More than ggml's products of a matrix with a few vectors take, which are computed by other code.
_WARM_UP_TOKENS = 32
_TOWER_BUFFERS = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class OpenModel:
    """Hold a model that is ready for requests.

    Attributes:
        model, context, prompts: what computes, what holds the conversation, and what turns messages into ids.
        offload, threads: where it computes.
        header: what its file says.
        faithful_context: beyond so many tokens answers are approximate; 0: nowhere.
        approximation: the sentence for the user that says so.
        gpu_note: what the user should know of a GPU that is not used.
    """

    model: ChatModel
    context: ChatContext
    prompts: Prompts
    offload: Offload
    threads: Threads
    header: ModelFile
    faithful_context: int = 0
    approximation: str = ""
    gpu_note: LoadNote | None = None

    def close(self) -> None:
        """Give all memory back."""
        self.context.close()
        self.model.close()
        self.prompts.close()

    def describe(self) -> LoadedModel:
        """Tell the client what was loaded."""
        return LoadedModel(
            name=self.model.name,
            architecture=self.model.architecture,
            quantization=self.model.quantization,
            parameters=self.model.parameters,
            size_bytes=self.model.size_bytes,
            context_train=self.model.context_train,
            context=self.context.limit,
            has_template=self.prompts.chat_format.problem is None,
            runs_on=self.offload.runs_on,
            gpu_layers=self.offload.layers,
            threads=self.threads.decode,
            batch_threads=self.threads.batch,
            num_crops=self.prompts.num_crops,
            faithful_context=self.faithful_context,
            notes=(*load_notes(self.header, self.prompts.chat_format), *filter(None, [self.gpu_note])),
            runs_on_reason=self.offload.reason,
        )


def open_model(
    request: Load, log: NativeLog, cancellation: Cancellation, on_progress: Callable[[float], None], gpus: Gpus
) -> OpenModel:
    """Open the model of a request on the runtime that computes it best; raises EngineError."""
    header = ModelFile.read(Path(request.path))
    exact = open_exactly(header, request, log=log, cancellation=cancellation, on_progress=on_progress)
    if isinstance(exact, ExactRuntime):
        try:
            prompts = Prompts(chat_format_of(exact.model.metadata, exact.model.vocabulary), None)
        except EngineError:
            exact.context.close()
            exact.model.close()
            raise
        return OpenModel(exact.model, exact.context, prompts, exact.offload, _usual_threads(request), header)
    sentence = approximation(header, exact) if header.faithful_context else ""
    return _open_with_llama(_Opening(request, header, sentence, log, cancellation, on_progress), gpus)


@dataclass(frozen=True, slots=True)
class _Opening:
    """Hold what one load is about."""

    request: Load
    header: ModelFile
    approximation: str
    log: NativeLog
    cancellation: Cancellation
    on_progress: Callable[[float], None]


def _open_with_llama(opening: _Opening, gpus: Gpus) -> OpenModel:
    """Open a model on GPUs as far as it goes there: with fewer layers where they do not fit, in the end with none."""
    demand = _demand(opening)
    offload, note = gpus.choose(opening.request, demand)
    read_ahead(
        opening.header.path,
        opening.cancellation,
        lambda fraction: opening.on_progress(_READING_SHARE * fraction),
    )
    while offload.layers:
        try:
            with gpus.attempt(offload):
                return _open_on(offload, opening, note)
        except EngineError as error:
            if error.code in ("cancelled", "model_unsupported"):
                raise
            lacks_memory = error.code == "out_of_memory"
            offload = fewer_layers(offload, demand) if lacks_memory else on_processor("the graphics card failed")
            note = None if offload.layers else cannot_take(error.message)
    return _open_on(offload, opening, note)


def _open_on(offload: Offload, opening: _Opening, note: LoadNote | None) -> OpenModel:
    """Open a model with these layers on GPUs; raises EngineError."""
    request, header, cancellation = opening.request, opening.header, opening.cancellation
    shared = any(gpu.is_integrated for gpu in offload.gpus)
    _check_memory(header.size_bytes - (0 if shared else header.layer_sizes.weights(offload.layers)))
    on_gpu = offload.layers > 0
    with ExitStack() as opened:
        model = LanguageModel(
            header,
            offload=offload,
            adapters=request.adapters,
            log=opening.log,
            cancellation=cancellation,
            on_progress=lambda fraction: opening.on_progress(_READING_SHARE + (1 - _READING_SHARE) * fraction),
        )
        opened.callback(model.close)
        threads = _usual_threads(request)
        prompts = _open_prompts(request, model, threads, use_gpu=on_gpu)
        opened.callback(prompts.close)
        context = _open_context(request, model, threads, on_gpu=on_gpu)
        opened.callback(context.close)
        if on_gpu:
            _warm_up(context, cancellation)
        elif request.thread_cache and not (request.threads or request.batch_threads):
            threads = measured_threads(context, model, Path(request.thread_cache), threads, cancellation)
        opened.pop_all()
    return OpenModel(
        model, context, prompts, offload, threads, header, header.faithful_context, opening.approximation, note
    )


def _demand(opening: _Opening) -> Demand:
    """Say what a load needs of GPUs; where no context is wished, room for a conversation of usual length."""
    request, header = opening.request, opening.header
    cells = request.context or _USUAL_CONTEXT
    companion = Path(request.companion) if request.companion else find_companion(header.path)
    tower = companion.stat().st_size + _TOWER_BUFFERS if companion and companion.is_file() else 0
    return Demand(header.layer_sizes, min(cells, header.context_length or cells), batch_size(0, on_gpu=True), tower)


def _warm_up(context: Context, cancellation: Cancellation) -> None:
    """Compute a few tokens, so that a driver that cannot shows it while the model is loaded; raises EngineError."""
    context.start(cancellation)
    context.fill([1] * max(1, min(_WARM_UP_TOKENS, context.limit - 1)), lambda stage, done, total: None)
    context.append(1, lambda stage, done, total: None)
    if not np.isfinite(context.logits()).all():
        raise EngineError("gpu_failed", "What it computes are no numbers.")
    context.clear()


def _usual_threads(request: Load) -> Threads:
    return Threads(*choose_threads(request.threads, request.batch_threads, physical_cores()))


def _open_prompts(request: Load, model: LanguageModel, threads: Threads, *, use_gpu: bool) -> Prompts:
    pictures = open_picture_reader(
        model.path,
        Path(request.companion) if request.companion else None,
        Path(request.picture_cache) if request.picture_cache else None,
        embedding=model.embedding,
        threads=threads.batch,
        use_gpu=use_gpu,
    )
    return Prompts(chat_format_of(model.metadata, model.vocabulary, has_companion=pictures is not None), pictures)


def _open_context(request: Load, model: LanguageModel, threads: Threads, *, on_gpu: bool) -> Context:
    limit = min(request.context or model.context_train, model.context_train)
    plan = ContextPlan(limit, model.longrope_line, model.short_cells)
    return Context(model, plan, threads=threads.decode, batch_threads=threads.batch, on_gpu=on_gpu)


def _check_memory(size_bytes: int) -> None:
    """Refuse a model that would push everything else out of memory."""
    free = free_memory()
    if size_bytes > free:
        sentence = f"The model needs {size_bytes / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free."
        raise EngineError("out_of_memory", sentence, "Close other programs, or choose a smaller model.")
