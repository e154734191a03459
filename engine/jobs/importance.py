"""Read importance matrices, which tell a quantiser which columns of a weight matter most."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader
from llama_cpp import llama_cpp

from engine.errors import EngineError

SUMS, COUNTS = ".in_sum2", ".counts"


def read_importance(path: Path) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Read an importance matrix in llama.cpp's GGUF format; return mean squared activations per tensor name.

    Entries of a mixture of experts hold one stretch of columns per expert; an expert that was never called counts as
    evenly important. Raises EngineError `bad_request`.
    """
    try:
        tensors = {tensor.name: np.array(tensor.data, np.float32) for tensor in GGUFReader(path).tensors}
    except (OSError, ValueError, IndexError) as error:
        message = f"{path.name} is not an importance matrix in GGUF format."
        raise EngineError("bad_request", message, "Make one with llama-imatrix of this year.", str(error)) from error
    importance = {}
    for name in (name.removesuffix(SUMS) for name in tensors if name.endswith(SUMS)):
        counts = tensors.get(name + COUNTS)
        if counts is None or tensors[name + SUMS].size % counts.size:
            raise EngineError("bad_request", f"{path.name} is damaged: {name} has no counts.", "Make it again.")
        counts = counts.reshape(-1, 1)
        sums = tensors[name + SUMS].reshape(len(counts), -1)
        importance[name] = np.where(counts > 0, sums / np.maximum(counts, 1), 1.0).astype(np.float32).ravel()
    if not importance:
        message = f"{path.name} holds no importance matrix."
        raise EngineError("bad_request", message, "Make one with llama-imatrix of this year.")
    return importance


def as_llama_array(importance: dict[str, np.ndarray[Any, np.dtype[np.float32]]]) -> Any:
    """Lay the matrices out as `llama_model_quantize` reads them: an array that ends with an empty entry.

    The array points into `importance`, which must outlive it.
    """
    array = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
    for entry, (name, values) in zip(array, importance.items(), strict=False):
        entry.name = name.encode()
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = values.size
    return array
