"""Open a model on PyTorch where only that computes it exactly, or say why llama.cpp has to do.

PyTorch is imported only for such a model, and only where it is installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from engine.data.libraries import how_to_install
from engine.errors import EngineError
from engine.protocol import Load
from engine.runtime.cancellation import Cancellation
from engine.runtime.hardware import choose_threads, physical_cores
from engine.runtime.interface import ChatContext, ChatModel
from engine.runtime.model_file import ModelFile
from engine.runtime.native_log import NativeLog
from engine.runtime.offload import Offload
from engine.torch_runtime.phi3small_config import Phi3SmallConfig


@dataclass(frozen=True, slots=True)
class ExactRuntime:
    """Hold a model that runs on PyTorch, its context, and where it computes."""

    model: ChatModel
    context: ChatContext
    offload: Offload


def open_exactly(
    file: ModelFile,
    request: Load,
    *,
    log: NativeLog,
    cancellation: Cancellation,
    on_progress: Callable[[float], None],
) -> ExactRuntime | EngineError:
    """Open a model on PyTorch, or give back why it has to run on llama.cpp.

    Raises EngineError when PyTorch was asked for and cannot, and when the file is damaged.
    """
    problem = _problem(file, request)
    if problem is None:
        assert file.exact is not None
        try:
            return _open(file, file.exact, request, log, cancellation, on_progress)
        except ImportError as error:
            sentence = "PyTorch, which computes this model exactly, is damaged."
            problem = EngineError("model_unsupported", sentence, "Install the packages of training again.", str(error))
        except EngineError as error:
            if error.code != "out_of_memory":
                raise
            problem = error
    if request.runtime == "pytorch":
        raise problem
    return problem


def approximation(file: ModelFile, problem: EngineError) -> str:
    """Say from where on answers are approximate, and what would make them exact."""
    sentence = (
        f"This answer is approximate from token {file.faithful_context:,} on: "
        "llama.cpp does not have the attention that this model needs for longer conversations."
    )
    more = [problem.message, problem.remedy] if file.is_phi3small else []
    return " ".join(filter(None, [sentence, *more]))


def takes_no_adapters() -> EngineError:
    """Make the error for an adapter beside a model that runs on PyTorch."""
    sentence = "PyTorch, which computes this model exactly, takes no adapters."
    return EngineError("model_unsupported", sentence, "Load the model without one.")


def _problem(file: ModelFile, request: Load) -> EngineError | None:
    """Say why a model cannot be computed on PyTorch; memory aside."""
    if not file.is_phi3small:
        return EngineError("model_unsupported", "Only Phi-3-small runs on PyTorch.", "Let the runtime be chosen.")
    if file.exact is None:
        sentence = "The file does not say what PyTorch needs to compute it exactly."
        return EngineError("model_unsupported", sentence, "Import the checkpoint again.")
    if request.runtime == "llama.cpp":
        return EngineError("model_unsupported", "PyTorch computes it exactly.", "Load it with that runtime.")
    if request.adapters:
        return takes_no_adapters()
    if importlib.util.find_spec("torch") is None and not _use_training_packages():
        sentence = "PyTorch, which computes this model exactly, is not installed."
        return EngineError("model_unsupported", sentence, how_to_install())
    return None


def _use_training_packages() -> bool:
    """Take PyTorch from the packages of training, and everything that the program has itself from there."""
    from engine.training_environment.environment import default_environment, use_ready
    from engine.training_environment.lock import program_lock

    return use_ready(default_environment(), program_lock(), first=False)


def _open(
    file: ModelFile,
    config: Phi3SmallConfig,
    request: Load,
    log: NativeLog,
    cancellation: Cancellation,
    on_progress: Callable[[float], None],
) -> ExactRuntime:
    from engine.torch_runtime.context import ExactContext
    from engine.torch_runtime.model import ExactModel
    from engine.torch_runtime.placement import place

    placement = place(config, full_precision=file.full_precision, allow_gpu=request.gpu_layers != 0)
    model = ExactModel(file, config, placement, log=log, cancellation=cancellation, on_progress=on_progress)
    threads, batch_threads = choose_threads(request.threads, request.batch_threads, physical_cores())
    limit = min(request.context or model.context_train, model.context_train)
    try:
        context = ExactContext(model, placement, limit, threads=threads, batch_threads=batch_threads)
    except BaseException:
        model.close()
        raise
    return ExactRuntime(model, context, placement.offload(config.num_hidden_layers))
