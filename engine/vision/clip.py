"""Encode crops with the CLIP tower in llama.cpp's `mtmd` library, which can use a GPU.

`mtmd` takes pictures of 8 bits and gives back what its own projector makes of them. Phi-3's view of the whole picture
does not fit into 8 bits, and its projector is another one. So the pixels are put in, and the feature map is taken out,
by the callback that the library calls around the nodes of its graph: before a node that reads the tensor `inp_raw`, and
after the node `layer_out-<layers - 2>`, with which the evaluation ends.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from llama_cpp import mtmd_cpp
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.runtime.backends import ggml_library, load_backends
from engine.runtime.ggml_tensor import GgmlTensor, add_up_in_32_bits
from engine.vision.companion import PATCHES, Companion
from engine.vision.hd_transform import CROP

Floats = NDArray[np.float32]
# Is given how many crops are done so far, and cancels by raising.
ProgressCallback = Callable[[float], None]

_INPUT = b"inp_raw"  # copies of it on a GPU have names around this one
_WARNINGS = (3, 4)


class TowerError(EngineError):
    """Report that the library could not encode a crop, which is the GPU's fault where it computes."""


class MtmdTower:
    """Hold the tower in native memory; not for use by several threads at once."""

    def __init__(self, companion: Companion, threads: int, *, use_gpu: bool) -> None:
        """Load the tower without a language model; raises EngineError where the library refuses."""
        self._settings = companion.settings
        self._output = f"layer_out-{self._settings.layers - 2}".encode()
        self._pixels: Floats | None = None
        self._features: Floats | None = None
        self._library = load_ggml()
        load_backends()
        mtmd_cpp.mtmd_log_set(_log, ctypes.c_void_p(0))
        params = mtmd_cpp.mtmd_context_params_default()
        params.use_gpu = use_gpu
        params.n_threads = threads
        params.print_timings = False
        params.warmup = False
        params.cb_eval = self._callback = llama.ggml_backend_sched_eval_callback(self._on_node)
        self._context: Any = mtmd_cpp.mtmd_init_from_file(str(companion.path).encode(), None, params)
        if not self._context:
            sentence = f"{companion.path.name} cannot be loaded."
            raise EngineError("model_invalid", sentence, "Close other programs, or import the checkpoint again.")
        self._chunks: Any = mtmd_cpp.mtmd_input_chunks_init()
        self._chunk = self._make_chunk()

    def close(self) -> None:
        """Free the native memory; may be called twice."""
        if self._context:
            mtmd_cpp.mtmd_input_chunks_free(self._chunks)
            mtmd_cpp.mtmd_free(self._context)
            self._context = None

    def encode(self, crops: Floats, on_progress: ProgressCallback) -> Floats:
        """Return the feature maps `[crops, 576, hidden]` of normalised crops `[crops, 3, 336, 336]`."""
        features = np.empty((len(crops), PATCHES, self._settings.hidden), np.float32)
        for index, crop in enumerate(crops):
            on_progress(float(index))
            self._pixels, self._features = np.ascontiguousarray(crop), None
            try:
                status = mtmd_cpp.mtmd_encode_chunk(self._context, self._chunk)
            except OSError:  # what drivers throw reaches Python on Windows
                status = -1
            if status != 0 or self._features is None or self._pixels is not None:
                raise TowerError("internal", "The picture could not be encoded.", "Try again with less detail.")
            features[index] = self._features[:PATCHES]
        on_progress(float(len(crops)))
        return features

    def _make_chunk(self) -> Any:
        """Make a blank crop; its pixels are replaced while the graph is evaluated."""
        marker = mtmd_cpp.mtmd_default_marker()
        text = mtmd_cpp.mtmd_input_text(marker, len(marker), False, False)
        bitmap = mtmd_cpp.mtmd_bitmap_init(CROP, CROP, (ctypes.c_uint8 * (CROP * CROP * 3))())
        bitmaps = (ctypes.c_void_p * 1)(bitmap)
        status = mtmd_cpp.mtmd_tokenize(self._context, self._chunks, ctypes.byref(text), bitmaps, 1)
        mtmd_cpp.mtmd_bitmap_free(bitmap)
        if status != 0:
            raise EngineError("internal", "The tower accepts no pictures.", "Import the checkpoint again.")
        return mtmd_cpp.mtmd_input_chunks_get(self._chunks, 0)

    def _on_node(self, address: int, ask: bool, user_data: object) -> bool:
        """Tell before a node whether it is the last one that is needed, and end the evaluation after that one."""
        if not ask:
            count, width = GgmlTensor.from_address(address).ne[1], self._settings.hidden
            self._features = np.empty((count, width), np.float32)
            self._library.ggml_backend_tensor_get(address, self._features.ctypes.data, 0, self._features.nbytes)
            return False
        add_up_in_32_bits(self._library, address)
        if self._pixels is not None:
            for source in GgmlTensor.from_address(address).src:
                if source and _INPUT in self._library.ggml_get_name(source):
                    self._library.ggml_backend_tensor_set(source, self._pixels.ctypes.data, 0, self._pixels.nbytes)
                    self._pixels = None
                    break
        return bool(self._library.ggml_get_name(address) == self._output)


def load_ggml() -> Any:
    """Declare the functions of ggml that read and write tensors wherever they live."""
    library = ggml_library("ggml-base")
    transfer = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
    for function in (library.ggml_backend_tensor_get, library.ggml_backend_tensor_set):
        function.argtypes, function.restype = transfer, None
    library.ggml_op_name.argtypes, library.ggml_op_name.restype = [ctypes.c_int], ctypes.c_char_p
    library.ggml_get_name.argtypes, library.ggml_get_name.restype = [ctypes.c_void_p], ctypes.c_char_p
    return library


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, user_data: object) -> None:
    """Pass warnings and errors on to standard error; the library may log as long as the process lives."""
    if level in _WARNINGS:
        sys.stderr.write(text.decode("utf-8", "replace"))
