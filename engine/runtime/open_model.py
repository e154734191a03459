"""Open a model with what answers need of it: its context, its prompts, and a description of where it runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engine.chat.chat_format import chat_format_of
from engine.errors import EngineError
from engine.protocol import Load, LoadedModel
from engine.runtime.calibration import Threads, measured_threads
from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Context
from engine.runtime.context_plan import ContextPlan
from engine.runtime.exact_runtime import ExactRuntime, approximation, open_exactly
from engine.runtime.hardware import choose_threads, find_devices, free_memory, physical_cores, supports_offload
from engine.runtime.interface import ChatContext, ChatModel
from engine.runtime.load_notes import load_notes
from engine.runtime.model import LanguageModel
from engine.runtime.model_file import ModelFile
from engine.runtime.native_log import NativeLog
from engine.runtime.offload import Offload, choose_offload
from engine.runtime.prompts import Prompts
from engine.runtime.read_ahead import read_ahead
from engine.vision.picture_reader import open_picture_reader

# The part of the progress of a load that reading the file from a disk takes.
_READING_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class OpenModel:
    """Hold a model that is ready for requests.

    Attributes:
        model, context, prompts: what computes, what holds the conversation, and what turns messages into ids.
        offload, threads: where it computes.
        header: what its file says.
        faithful_context: beyond so many tokens answers are approximate; 0: nowhere.
        approximation: the sentence for the user that says so.
    """

    model: ChatModel
    context: ChatContext
    prompts: Prompts
    offload: Offload
    threads: Threads
    header: ModelFile
    faithful_context: int = 0
    approximation: str = ""

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
            notes=load_notes(self.header, self.prompts.chat_format),
        )


def open_model(
    request: Load, log: NativeLog, cancellation: Cancellation, on_progress: Callable[[float], None]
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
    return _open_with_llama(request, header, sentence, log, cancellation, on_progress)


def _open_with_llama(
    request: Load,
    header: ModelFile,
    approximation: str,
    log: NativeLog,
    cancellation: Cancellation,
    on_progress: Callable[[float], None],
) -> OpenModel:
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
    with ExitStack() as opened:
        model = LanguageModel(
            header,
            gpu_layers=offload.layers,
            adapters=request.adapters,
            log=log,
            cancellation=cancellation,
            on_progress=lambda fraction: on_progress(_READING_SHARE + (1 - _READING_SHARE) * fraction),
        )
        opened.callback(model.close)
        threads = _usual_threads(request)
        prompts = _open_prompts(request, model, threads, use_gpu=offload.layers > 0)
        opened.callback(prompts.close)
        context = _open_context(request, model, threads, on_gpu=offload.layers > 0)
        opened.callback(context.close)
        if request.thread_cache and not (request.threads or request.batch_threads or offload.layers):
            threads = measured_threads(context, model, Path(request.thread_cache), threads, cancellation)
        opened.pop_all()
    return OpenModel(model, context, prompts, offload, threads, header, header.faithful_context, approximation)


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
