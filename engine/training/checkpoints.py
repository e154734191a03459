"""Keep what a run needs to go on after any kind of end: weights, optimiser, random state, position.

A checkpoint is written under a temporary name and renamed when complete; one that cannot be read is passed over.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from peft import PeftModel, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_model

from engine.errors import EngineError
from engine.training.vision_model import load_projector, projector_of, save_projector

KEPT = 2
STATE_FILE, OPTIMIZER_FILE, RANDOM_FILE = "trainer_state.json", "optimizer.pt", "rng_state.pth"
ADAPTER_FILE, MODEL_FILE = "adapter_model.safetensors", "model.safetensors"
DAMAGE = (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, UnpicklingError, SafetensorError)
"""What readers of damaged files raise."""
NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True)
class TrainerState:
    """Say how far a run is.

    Attributes:
        step: steps done.
        tokens: tokens read so far.
        seconds: time spent training.
        data: fingerprint of what it learns from.
        total_steps: how many steps there will be, which the learning rate depends on.
    """

    step: int
    tokens: int
    seconds: float
    data: str
    total_steps: int


def save_checkpoint(
    folder: Path, model: Any, optimizer: torch.optim.Optimizer, random_state: Any, state: TrainerState
) -> Path:
    """Write a checkpoint into the run's folder of checkpoints and drop all but the last complete two.

    Raises EngineError `disk_full`, after which the earlier checkpoints are untouched.
    """
    target = folder / f"step-{state.step:06d}"
    if target.is_dir():
        return target
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with disk_errors():
            partial.mkdir(parents=True)
            save_weights(model, partial)
            torch.save(optimizer.state_dict(), partial / OPTIMIZER_FILE)
            torch.save(random_state, partial / RANDOM_FILE)
            sizes = {path.name: path.stat().st_size for path in partial.iterdir()}
            (partial / STATE_FILE).write_text(json.dumps(asdict(state) | {"files": sizes}, indent=1), "utf-8")
            for path in partial.iterdir():
                _flush(path)
            partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for old in _all(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def save_weights(model: Any, folder: Path) -> None:
    """Write the trained weights: a PEFT adapter and the projector of a model that sees, or all of a model."""
    if isinstance(model, PeftModel):
        # "auto" would ask the Hub for the base's vocabulary.
        model.save_pretrained(str(folder), save_embedding_layers=False)
        _forget_base_path(folder / "adapter_config.json", model)
        projector = projector_of(model)
        if projector is not None:
            save_projector(projector, folder)
    else:
        save_model(model, str(folder / MODEL_FILE), metadata={"format": "pt"})


def load_checkpoint(folder: Path, model: Any, optimizer: torch.optim.Optimizer) -> tuple[TrainerState, Any] | None:
    """Bring model and optimiser to the newest readable checkpoint; return its state and random state, or None.

    Everything is read before anything is changed, so that a damaged file leaves no mixture behind.
    """
    for path in reversed(_all(folder)):
        try:
            state = read_state(path)
            random_state = torch.load(path / RANDOM_FILE, weights_only=True)
            optimizer_state = torch.load(path / OPTIMIZER_FILE, weights_only=True)
            _load_weights(model, path)
            optimizer.load_state_dict(optimizer_state)
        except DAMAGE:
            continue
        return state, random_state
    return None


def read_state(path: Path) -> TrainerState:
    """Read the state of a checkpoint and check that its files have their full length. Raises ValueError and others."""
    values = json.loads((path / STATE_FILE).read_text("utf-8"))
    files = values.pop("files")
    weights = {ADAPTER_FILE, MODEL_FILE} & set(files)
    if not weights or not {OPTIMIZER_FILE, RANDOM_FILE} <= set(files):
        raise ValueError("the checkpoint is incomplete")
    if any((path / name).stat().st_size != size for name, size in files.items()):
        raise ValueError("a file of the checkpoint is cut short")
    return TrainerState(**values)


def newest_state(folder: Path) -> TrainerState | None:
    """Return the state of the newest checkpoint that looks complete, without loading it."""
    for path in reversed(_all(folder)):
        try:
            return read_state(path)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn a full disk, in whatever words a library puts it, into EngineError `disk_full`."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        words = ("No space left", "file write failed", "failed writing", "unexpected pos")
        if not full and not any(word in str(error) for word in words):
            raise
        message = "The disk is full, so the run could not be saved; its earlier checkpoints are kept."
        raise EngineError("disk_full", message, "Free some space and start the run again.", str(error)) from error


def _all(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("step-*") if NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _load_weights(model: Any, path: Path) -> None:
    if not isinstance(model, PeftModel):
        load_model(model, str(path / MODEL_FILE))
        return
    weights, projector = load_file(path / ADAPTER_FILE), projector_of(model)
    if projector is not None:
        load_projector(projector, path)
    result = set_peft_model_state_dict(model, weights)
    if result.unexpected_keys or any("lora_" in key for key in result.missing_keys):
        raise ValueError("the adapter belongs to another run")


def _forget_base_path(config: Path, model: PeftModel) -> None:
    """Name the base in the adapter's configuration by its folder's name: paths of this computer help nobody."""
    values = json.loads(config.read_text("utf-8"))
    values["base_model_name_or_path"] = Path(str(values.get("base_model_name_or_path") or "")).name
    config.write_text(json.dumps(values, indent=2, sort_keys=True), "utf-8")


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
