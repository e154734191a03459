"""Multiply activations with weights: in float32 with numpy, or in bfloat16 with ggml's kernels.

A processor with a unit for bfloat16 multiplies it twice as fast as float32. Where the weights are bfloat16 anyway, only
the activations that enter a product lose digits; sums, and all between the products, stay float32.
"""

from __future__ import annotations

import ctypes
from typing import Any, Protocol

import numpy as np
from llama_cpp import _ctypes_extensions, _ggml
from numpy.typing import NDArray

from engine.vision.clip import GgmlTensor, load_ggml
from engine.vision.companion import Companion

Floats = NDArray[np.float32]

_F32, _BF16 = 0, 30  # enum ggml_type
_POINTER = ctypes.c_void_p


class Products(Protocol):
    """Offer products with the weights of a companion.

    Attributes:
        reason: why the engine multiplies this way, for people.
    """

    reason: str

    def weights(self, companion: Companion, name: str) -> NDArray[Any]:
        """Return a matrix `[outputs, inputs]` of the companion as `multiply` takes it."""

    def inputs(self, values: Floats) -> NDArray[Any]:
        """Return activations as `multiply` takes them."""

    def multiply(self, given: NDArray[Any], weights: NDArray[Any]) -> Floats:
        """Return `given @ weights.T`, `[tokens, outputs]`."""


class Float32Products:
    """Multiply with numpy's BLAS."""

    def __init__(self, reason: str) -> None:
        """Take the reason for float32."""
        self.reason = reason

    def weights(self, companion: Companion, name: str) -> Floats:
        """Return a matrix as float32."""
        return companion.tensor(name)

    def inputs(self, values: Floats) -> Floats:
        """Return the activations themselves."""
        return values

    def multiply(self, given: Floats, weights: Floats) -> Floats:
        """Return `given @ weights.T`."""
        product: Floats = given @ weights.T
        return product


class Bfloat16Products:
    """Multiply with ggml, each product on the thread that asks for it, with weights that stay in the mapped file."""

    reason = "bfloat16: the processor multiplies it fastest, and the weights are bfloat16"

    def __init__(self) -> None:
        """Find the functions."""
        self._base = _declare_base()
        self._cpu = _declare_cpu()
        self._memory = 4 * self._base.ggml_tensor_overhead() + self._base.ggml_graph_overhead_custom(4, False)

    def weights(self, companion: Companion, name: str) -> NDArray[np.uint16]:
        """Return a matrix as bfloat16."""
        return companion.bfloat16(name)

    def inputs(self, values: Floats) -> NDArray[np.uint16]:
        """Round activations to bfloat16."""
        values = np.ascontiguousarray(values)
        rounded = np.empty(values.shape, np.uint16)
        self._cpu.ggml_cpu_fp32_to_bf16(values.ctypes.data, rounded.ctypes.data, values.size)
        return rounded

    def multiply(self, given: NDArray[np.uint16], weights: NDArray[np.uint16]) -> Floats:
        """Return `given @ weights.T`: a graph of one node, which points at the arrays."""
        product = np.empty((len(given), len(weights)), np.float32)
        context = self._base.ggml_init(_InitParams(self._memory, None, True))
        left, right = (self._base.ggml_new_tensor_2d(context, _BF16, *array.shape[::-1]) for array in (weights, given))
        result = self._base.ggml_mul_mat(context, left, right)
        for tensor, array in ((left, weights), (right, given), (result, product)):
            GgmlTensor.from_address(tensor).data = array.ctypes.data
        graph = self._base.ggml_new_graph_custom(context, 4, False)
        self._base.ggml_build_forward_expand(graph, result)
        plan = self._cpu.ggml_graph_plan(graph, 1, None)
        work = np.empty(plan.work_size, np.uint8)
        plan.work_data = work.ctypes.data
        self._cpu.ggml_graph_compute(graph, ctypes.byref(plan))
        self._base.ggml_free(context)
        return product


def has_bfloat16_unit() -> bool:
    """Tell whether ggml was built for a processor that multiplies bfloat16, with the kernels that do so."""
    library = _declare_cpu()
    return bool(library.ggml_cpu_has_avx512_bf16() and library.ggml_cpu_has_llamafile())


def choose_products(companion: Companion) -> Products:
    """Choose what is fastest without losing digits of the weights."""
    if not has_bfloat16_unit():
        return Float32Products("float32: the processor has no unit for bfloat16")
    if not companion.is_bfloat16:
        return Float32Products("float32: the weights have more digits than bfloat16")
    return Bfloat16Products()


class _InitParams(ctypes.Structure):
    """Mirror `struct ggml_init_params`."""

    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", _POINTER), ("no_alloc", ctypes.c_bool)]


class _Plan(ctypes.Structure):
    """Mirror `struct ggml_cplan`."""

    _fields_ = [
        ("work_size", ctypes.c_size_t),
        ("work_data", _POINTER),
        ("n_threads", ctypes.c_int),
        ("threadpool", _POINTER),
        ("abort_callback", _POINTER),
        ("abort_callback_data", _POINTER),
        ("use_ref", ctypes.c_bool),
    ]


def _declare_base() -> Any:
    library = load_ggml()
    pointers = {
        "ggml_init": [_InitParams],
        "ggml_new_tensor_2d": [_POINTER, ctypes.c_int, ctypes.c_int64, ctypes.c_int64],
        "ggml_mul_mat": [_POINTER] * 3,
        "ggml_new_graph_custom": [_POINTER, ctypes.c_size_t, ctypes.c_bool],
    }
    for name, arguments in pointers.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, _POINTER
    library.ggml_build_forward_expand.argtypes, library.ggml_build_forward_expand.restype = [_POINTER] * 2, None
    library.ggml_free.argtypes, library.ggml_free.restype = [_POINTER], None
    library.ggml_graph_overhead_custom.argtypes = [ctypes.c_size_t, ctypes.c_bool]
    library.ggml_graph_overhead_custom.restype = ctypes.c_size_t
    return library


def _declare_cpu() -> Any:
    library = _ctypes_extensions.load_shared_library("ggml-cpu", _ggml.libggml_base_path)
    library.ggml_graph_plan.argtypes, library.ggml_graph_plan.restype = [_POINTER, ctypes.c_int, _POINTER], _Plan
    library.ggml_graph_compute.argtypes = [_POINTER, _POINTER]
    library.ggml_cpu_fp32_to_bf16.argtypes = [_POINTER, _POINTER, ctypes.c_int64]
    library.ggml_cpu_fp32_to_bf16.restype = None
    return library
