"""Take the vocabulary and the metadata of a GGUF file from llama.cpp, of a loaded model or without loading one."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp.llama_cpp as llama

from engine.runtime.load_failure import explain_load_failure
from engine.runtime.model_file import ModelFile
from engine.runtime.native_log import NativeLog
from engine.runtime.vocabulary import Vocabulary


class VocabularyFile:
    """Own llama.cpp's handle of a model of which only the vocabulary is in memory."""

    def __init__(self, header: ModelFile, log: NativeLog) -> None:
        """Load the vocabulary; raises EngineError."""
        params = llama.llama_model_default_params()
        params.vocab_only = True
        log.clear()
        self._handle = llama.llama_model_load_from_file(str(header.path).encode(), params)
        if not self._handle:
            raise explain_load_failure(header.path.name, log.problems())
        self.vocabulary = vocabulary_of(self._handle, header.stop_ids)

    def metadata(self, key: str) -> str | None:
        """Give a value of the file's metadata as text."""
        return metadata_text(self._handle, key)

    def close(self) -> None:
        """Free the handle."""
        if self._handle:
            llama.llama_model_free(self._handle)
            self._handle = None


def vocabulary_of(handle: Any, stop_ids: frozenset[int]) -> Vocabulary:
    """Give the vocabulary of a model, valid as long as the model."""
    space = metadata_text(handle, "tokenizer.ggml.add_space_prefix")
    return Vocabulary(llama.llama_model_get_vocab(handle), add_space_prefix=space != "false", stop_ids=stop_ids)


def metadata_text(handle: Any, key: str) -> str | None:
    """Give a value of a model's metadata as text."""
    name = key.encode()
    length = int(llama.llama_model_meta_val_str(handle, name, None, 0))
    if length < 0:
        return None
    buffer = ctypes.create_string_buffer(length + 1)
    llama.llama_model_meta_val_str(handle, name, buffer, length + 1)
    return buffer.value.decode("utf-8", errors="replace")
