"""Evaluate tokens as the worker does, in this process."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.protocol import Adapter, Load, Logits
from engine.runtime.cancellation import Cancellation
from engine.runtime.native_log import NativeLog
from engine.runtime.session import Session


def session_logits(
    log: NativeLog, path: Path, ids: Sequence[int], *adapters: tuple[Path, float]
) -> NDArray[np.float32]:
    """Load a model in llama.cpp with adapters and their scales, and return the logits after the last of `ids`."""
    session = Session(log)
    chosen = tuple(Adapter(str(adapter), scale) for adapter, scale in adapters)
    session.load(Load(str(path), adapters=chosen, runtime="llama.cpp"), Cancellation(), lambda fraction: None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "logits.npz"
            session.logits(Logits(str(out), tokens=tuple(ids)), Cancellation(), lambda *progress: None)
            return np.load(out)["logits"]
    finally:
        session.unload()
