"""Tokenise text with llama.cpp and the vocabulary of a GGUF file."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import llama_cpp.llama_cpp as llama

from tests.helpers.logits import drop_log


@contextmanager
def vocabulary_of(path: Path) -> Iterator[ctypes.c_void_p]:
    """Load only the vocabulary of the model at `path`."""
    llama.llama_log_set(drop_log, ctypes.c_void_p())
    params = llama.llama_model_default_params()
    params.vocab_only = True
    model = llama.llama_model_load_from_file(str(path).encode(), params)
    assert model, f"llama.cpp cannot load {path}"
    try:
        yield llama.llama_model_get_vocab(model)
    finally:
        llama.llama_model_free(model)


def llama_tokens(vocabulary: ctypes.c_void_p, text: str, special: bool = False) -> list[int]:
    """Return the ids of `text` without BOS; `special` makes special tokens in it count as such."""
    data = text.encode()
    ids = (llama.llama_token * (len(data) + 16))()
    count = llama.llama_tokenize(vocabulary, data, len(data), ids, len(ids), False, special)
    assert count >= 0
    return list(ids[:count])
