"""Train a model further on local data; everything that needs PyTorch is imported here and not before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.data.libraries import how_to_install
from engine.errors import EngineError
from engine.jobs.events import JobEvent, TrainJob


def train_model(job: TrainJob, folder: Path, report: Callable[[JobEvent], None]) -> dict[str, Any]:
    """Carry out or go on with the run in `folder`; return `path`, and `adapter` and `merged` where these were made.

    Raises EngineError, ConversionError or OSError.
    """
    try:
        from engine.training.control import Stopped
        from engine.training.run import train
    except ImportError as error:
        message = "Training needs PyTorch, transformers and PEFT, which are not installed."
        raise EngineError("model_unsupported", message, how_to_install(), str(error)) from error
    try:
        return train(job, folder, report)
    except Stopped:
        message = "Training was stopped; what was learned is saved."
        raise EngineError("cancelled", message, "Start the run again to go on.") from None
