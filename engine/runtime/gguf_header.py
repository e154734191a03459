"""Look into a GGUF file before it is loaded, with ggml's own reader."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from llama_cpp import _ctypes_extensions, _ggml

from engine.errors import EngineError

_TYPE_UINT32 = 4
_TYPE_STRING = 8
_OTHER_FILES = {
    b"PK\x03\x04": "a zip or PyTorch file",
    b"\x80\x02}q": "a pickle file",
    b"ggml": "a file of llama.cpp's old format",
    b"ggjt": "a file of llama.cpp's old format",
    b"fugg": "a GGUF file of another byte order",
}
_IMPORT_REMEDY = "Choose a .gguf file, or import the checkpoint's directory."
_FETCH_REMEDY = "Get the file again, or convert the checkpoint again."


class _InitParameters(ctypes.Structure):
    _fields_ = [("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p)]


class GgufHeader:
    """Hold the few facts that decide how a file is loaded.

    Attributes:
        path: the file.
        size_bytes: its size.
        architecture: `general.architecture`.
        layers: number of layers.
        original_context_length: where LongRoPE goes over to its long factors; None for models without it.
    """

    def __init__(self, path: Path) -> None:
        """Read the header of a file; raises EngineError when it cannot be a model."""
        _check_magic(path)
        self.path = path
        self.size_bytes = path.stat().st_size
        self._library = _load_library()
        self._handle = self._library.gguf_init_from_file(str(path).encode(), _InitParameters(True, None))
        if not self._handle:
            sentence = f"The header of {path.name} is damaged or cut off."
            raise EngineError("model_invalid", sentence, _FETCH_REMEDY)
        try:
            self.architecture = self._text("general.architecture")
            self.original_context_length = self._original_context_length()
            self.layers = self._number(f"{self.architecture}.block_count") or 0
            needed = self._data_end()
        finally:
            self._library.gguf_free(self._handle)
        if not self.architecture:
            sentence = f"{path.name} does not say which architecture it holds."
            raise EngineError("model_invalid", sentence, _FETCH_REMEDY)
        if self.architecture == "clip":
            sentence = f"{path.name} is the vision part of a model, not a language model."
            raise EngineError("model_unsupported", sentence, "Choose the language model that it belongs to.")
        if self.size_bytes < needed:
            sentence = f"{path.name} is incomplete: it has {_size(self.size_bytes)} of {_size(needed)}."
            raise EngineError("model_invalid", sentence, _FETCH_REMEDY)

    def _original_context_length(self) -> int | None:
        if self._library.gguf_find_tensor(self._handle, b"rope_factors_long.weight") < 0:
            return None
        return self._number(f"{self.architecture}.rope.scaling.original_context_length")

    def _data_end(self) -> int:
        """Give the size that the file must have for all of its tensors."""
        library, handle = self._library, self._handle
        ends = (
            library.gguf_get_tensor_offset(handle, index) + library.gguf_get_tensor_size(handle, index)
            for index in range(library.gguf_get_n_tensors(handle))
        )
        return int(library.gguf_get_data_offset(handle)) + max(ends, default=0)

    def _find(self, key: str, kind: int) -> int:
        index = int(self._library.gguf_find_key(self._handle, key.encode()))
        # Asking for a value as another type than it has would abort the process.
        return index if index >= 0 and self._library.gguf_get_kv_type(self._handle, index) == kind else -1

    def _text(self, key: str) -> str:
        index = self._find(key, _TYPE_STRING)
        return self._library.gguf_get_val_str(self._handle, index).decode("utf-8", "replace") if index >= 0 else ""

    def _number(self, key: str) -> int | None:
        index = self._find(key, _TYPE_UINT32)
        return int(self._library.gguf_get_val_u32(self._handle, index)) if index >= 0 else None


def _check_magic(path: Path) -> None:
    """Tell a missing, empty or mislabelled file from a GGUF file."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError as error:
        raise EngineError("model_not_found", f"There is no file {path.name}.", "Choose another model.") from error
    except OSError as error:
        reason = "it is a directory" if path.is_dir() else (error.strerror or "unknown").lower()
        raise EngineError("model_invalid", f"{path.name} cannot be read: {reason}.", _IMPORT_REMEDY) from error
    if not start:
        raise EngineError("model_invalid", f"{path.name} is empty.", _FETCH_REMEDY)
    if start[:4] == b"GGUF":
        return
    kind = "a safetensors file" if start[8:9] == b"{" else _OTHER_FILES.get(start[:4])
    sentence = f"{path.name} is {kind}, not a GGUF model." if kind else f"{path.name} is not a GGUF model."
    raise EngineError("model_invalid", sentence, _IMPORT_REMEDY)


def _load_library() -> Any:
    """Declare the functions of ggml's GGUF reader that the header needs."""
    library = _ctypes_extensions.load_shared_library("ggml-base", _ggml.libggml_base_path)
    handle, index, size, text = ctypes.c_void_p, ctypes.c_int64, ctypes.c_size_t, ctypes.c_char_p
    for name, arguments, result in (
        ("gguf_init_from_file", [text, _InitParameters], handle),
        ("gguf_free", [handle], None),
        ("gguf_find_key", [handle, text], index),
        ("gguf_get_kv_type", [handle, index], ctypes.c_int),
        ("gguf_get_val_u32", [handle, index], ctypes.c_uint32),
        ("gguf_get_val_str", [handle, index], text),
        ("gguf_find_tensor", [handle, text], index),
        ("gguf_get_n_tensors", [handle], index),
        ("gguf_get_tensor_offset", [handle, index], size),
        ("gguf_get_tensor_size", [handle, index], size),
        ("gguf_get_data_offset", [handle], size),
    ):
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count:,} bytes"
