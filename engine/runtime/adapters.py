"""Load LoRA adapters beside a model and tell llama.cpp how strongly each counts."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama

from converter.adapter_file import problem_with
from converter.errors import ConversionError
from converter.gguf_file import read_header
from engine.errors import EngineError
from engine.protocol import Adapter

# A file, and what tells that it is still the same: size and time.
_Key = tuple[Path, int, int]


class Adapters:
    """Own the adapters of one model; those in use change all contexts that `apply` was called for."""

    def __init__(self, model: Any, model_path: Path) -> None:
        """Take llama.cpp's pointer of the model, which must be closed after this, and the model's file."""
        self._model = model
        self._model_path = model_path
        self._handles: dict[_Key, Any] = {}
        self._in_use: dict[_Key, float] = {}

    def choose(self, requested: Sequence[Adapter]) -> bool:
        """Put other adapters to use and tell whether that changes anything.

        Raises EngineError, after which those in use are the same as before. What is no longer in use stays in memory
        until `free_unused`, because contexts still point at it.
        """
        scales: dict[_Key, float] = {}
        loaded: dict[_Key, Any] = {}
        try:
            for adapter in requested:
                key = _key(Path(adapter.path))
                if key not in self._handles and key not in loaded:
                    loaded[key] = self._load(key[0])
                scales[key] = scales.get(key, 0.0) + adapter.scale
        except EngineError:
            for handle in loaded.values():
                llama.llama_adapter_lora_free(handle)
            raise
        changed = scales != self._in_use
        self._handles |= loaded
        self._in_use = scales
        return changed

    def apply(self, context: Any) -> None:
        """Let what a context evaluates from now on be changed by the adapters in use."""
        count = len(self._in_use)
        handles = (llama.llama_adapter_lora_p_ctypes * count)(*(self._handles[key] for key in self._in_use))
        scales = (ctypes.c_float * count)(*self._in_use.values())
        llama.llama_set_adapters_lora(context, handles, count, scales)

    def free_unused(self) -> None:
        """Give back the memory of adapters that are not in use."""
        for key in self._handles.keys() - self._in_use.keys():
            llama.llama_adapter_lora_free(self._handles.pop(key))

    def close(self) -> None:
        """Forget the adapters; their memory is given back with the model's."""
        self._handles, self._in_use = {}, {}

    def _load(self, path: Path) -> Any:
        """Load a file; llama.cpp aborts the process at some that do not fit, so they are compared here first."""
        try:
            reason = problem_with(read_header(path), read_header(self._model_path))
        except ConversionError as error:
            raise EngineError(error.code, error.message, error.remedy) from error
        if reason is not None:
            sentence = f"The adapter {path.name} does not fit this model: {reason}."
            raise EngineError("model_invalid", sentence, "Choose the adapter's own model.")
        handle = llama.llama_adapter_lora_init(self._model, str(path).encode())
        if not handle:
            sentence = f"The adapter {path.name} cannot be loaded."
            raise EngineError("model_invalid", sentence, "Convert it again, or free some memory.")
        return handle


def _key(path: Path) -> _Key:
    try:
        status = path.stat()
    except OSError as error:
        sentence = f"There is no adapter {path.name}."
        raise EngineError("model_not_found", sentence, "Choose another adapter.") from error
    return path.resolve(), status.st_size, status.st_mtime_ns
