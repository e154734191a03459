"""Find what the chat and the library need of a finished run; slow and heavy, so for threads only."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from app.training.run import Run
from converter.companion_path import tuned_companion_path
from engine.errors import EngineError
from engine.library.folders import STARTER_NAME, file_name_for, resolve_model, starter_path


def model_for(run: Run, models: Sequence[Path]) -> Path | None:
    """Return the model of the library that a run's adapter was trained on; None where there is none."""
    from converter.adapter_file import made_for, problem_with
    from converter.errors import ConversionError
    from converter.gguf_file import read_header

    if run.job.base.lower() == STARTER_NAME:
        return starter_path()
    adapter = run.adapter
    if adapter is None:
        return None
    header = read_header(adapter)
    for path in models:
        try:
            model = read_header(path)
        except ConversionError:
            continue
        if made_for(header, model) and problem_with(header, model) is None:
            return path
    return None


def adapter_in_library(run: Run, folder: Path) -> Path:
    """Copy a run's adapter beside the models, so that chats keep it when the run is deleted; return the copy.

    What was trained of the picture part comes with it. Raises EngineError.
    """
    adapter, companion = run.adapter, run.result_path("companion")
    if adapter is None or (run.sees and companion is None):
        message = "The adapter of this run is not there any more."
        raise EngineError("model_not_found", message, "Export the run, or train it again.")
    copy = folder / f"{run.identity}.lora.gguf"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if companion is not None:
            _copy_newer(companion, tuned_companion_path(copy))
        _copy_newer(adapter, copy)
    except OSError as fault:
        message = f"The adapter cannot be copied into the library ({fault.strerror})."
        raise EngineError("disk_full", message, "Free some space and try again.") from fault
    return copy


def _copy_newer(file: Path, copy: Path) -> None:
    """Copy a file whole or not at all, unless the copy is of its latest state."""
    status = file.stat()
    if copy.exists() and copy.stat().st_mtime >= status.st_mtime and copy.stat().st_size == status.st_size:
        return
    partial = copy.with_name(copy.name + ".part")
    try:
        shutil.copy(file, partial)
        partial.replace(copy)
    finally:
        partial.unlink(missing_ok=True)


def export_source(run: Run) -> tuple[Path, Path | None]:
    """Return the checkpoint directory that a run's model is made of, and the adapter to merge into it.

    Raises EngineError or ConversionError.
    """
    result = run.result_path("path")
    if result is None:
        raise EngineError("model_not_found", "The result of this run is not there any more.", "Train it again.")
    return (base_folder(run), result) if run.is_adapter else (result, None)


def base_folder(run: Run) -> Path:
    """Return the checkpoint directory of a run's base, unpacked anew where it is not there any more."""
    from engine.training.dequantized import dequantized_checkpoint

    folder = Path(run.job.base)
    if folder.is_dir():
        return folder
    library = Path(run.job.models_dir) if run.job.models_dir else None
    return dequantized_checkpoint(resolve_model(run.job.base, library), Path(run.job.cache))


def export_path(folder: Path, source: Path, name: str, quantization: str) -> Path:
    """Give a file of the library that is not there yet."""
    out = folder / file_name_for(source, name, quantization)
    number = 2
    while out.exists():
        out = folder / file_name_for(source, f"{name} {number}", quantization)
        number += 1
    return out
