"""Quantise with ggml itself, for tests of the converter without the engine."""

import ctypes
from pathlib import Path

import llama_cpp
import llama_cpp.llama_cpp as llama
import numpy as np

from converter.ggml_types import FILE_TYPES, TENSOR_TYPES


def ggml_quantizer(rows, type_name):
    """Quantise float32 rows with `ggml_quantize_chunk` of the installed library."""
    tensor_type = TENSOR_TYPES[type_name]
    packed = np.empty((rows.shape[0], tensor_type.row_bytes(rows.shape[1])), np.uint8)
    quantize = _ggml().ggml_quantize_chunk
    quantize.restype = ctypes.c_size_t
    quantize.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    quantize(tensor_type.id, rows.ctypes.data, packed.ctypes.data, 0, *rows.shape, None)
    return packed


def llama_quantize(source: Path, out: Path, file_type: str) -> None:
    """Quantise a GGUF file with llama.cpp's own `llama_model_quantize`."""
    params = llama.llama_model_quantize_default_params()
    params.ftype = FILE_TYPES[file_type].id
    params.nthread = 2
    assert llama.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(params)) == 0


def ggml_type_facts() -> dict[str, tuple[int, int, int]]:
    """Return id, block length and bytes per block of every type the library has."""
    library = _ggml()
    library.ggml_type_name.restype = ctypes.c_char_p
    library.ggml_type_size.restype = ctypes.c_size_t
    library.ggml_blck_size.restype = ctypes.c_int64
    ids = [number for number in range(43) if library.ggml_blck_size(number)]
    return {
        library.ggml_type_name(number).decode().lower(): (
            number,
            library.ggml_blck_size(number),
            library.ggml_type_size(number),
        )
        for number in ids
    }


def _ggml():
    folder = Path(llama_cpp.__file__).parent / "lib"
    return ctypes.CDLL(
        str(next(path for path in folder.iterdir() if path.stem.startswith(("libggml-base", "ggml-base"))))
    )
