"""Multiply activations with weights: in float32 with numpy, or in bfloat16 with ggml's kernels.

A processor with a unit for bfloat16 multiplies it twice as fast as float32. Where the weights are bfloat16 anyway, only
the activations that enter a product lose digits; sums, and all between the products, stay float32.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.runtime.backends import ggml_library, load_backends
from engine.runtime.ggml_tensor import GgmlTensor
from engine.vision.companion import Companion

Floats = NDArray[np.float32]

SMALLEST_HIDDEN = 256
"""Narrower towers are float32: that of the reference vectors (64) is 2.5e-3 off in bfloat16. Speed was not compared."""

_F32, _BF16 = 0, 30  # enum ggml_type
_POINTER = ctypes.c_void_p
_TENSORS_OF_A_PRODUCT = 4
_CACHE_LINE = 64
_SAME_CACHE_SET = 4096


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
    """Multiply with ggml, each product on the thread that asks for it."""

    reason = "bfloat16: the processor multiplies it fastest, and the weights are bfloat16"

    def __init__(self) -> None:
        """Find the functions."""
        self._ggml = _declare_ggml()
        tensors, graph = _TENSORS_OF_A_PRODUCT, self._ggml.ggml_graph_overhead_custom(_TENSORS_OF_A_PRODUCT, False)
        self._memory = tensors * self._ggml.ggml_tensor_overhead() + graph
        self._of_thread = threading.local()

    def weights(self, companion: Companion, name: str) -> NDArray[np.uint16]:
        """Return a matrix as bfloat16, whose rows do not compete for the same places in the processor's cache."""
        outputs, inputs = companion.shape(name)
        padding = _CACHE_LINE // 2 if 2 * inputs % _SAME_CACHE_SET == 0 else 0
        matrix = np.empty((outputs, inputs + padding), np.uint16)[:, :inputs]
        companion.read_bfloat16(name, matrix)
        return matrix

    def inputs(self, values: Floats) -> NDArray[np.uint16]:
        """Round activations to bfloat16."""
        values = np.ascontiguousarray(values)
        rounded = np.empty(values.shape, np.uint16)

        def copy(context: int) -> int:
            source, target = self._tensor(context, _F32, values), self._tensor(context, _BF16, rounded)
            return int(self._ggml.ggml_cpy(context, source, target))

        self._compute(copy)
        return rounded

    def multiply(self, given: NDArray[np.uint16], weights: NDArray[np.uint16]) -> Floats:
        """Return `given @ weights.T`: a graph of one node, which points at the arrays."""
        product = np.empty((len(given), len(weights)), np.float32)

        def multiply(context: int) -> int:
            left, right = self._tensor(context, _BF16, weights), self._tensor(context, _BF16, given)
            result = int(self._ggml.ggml_mul_mat(context, left, right))
            GgmlTensor.from_address(result).data = product.ctypes.data
            return result

        self._compute(multiply)
        return product

    def _tensor(self, context: int, kind: int, array: NDArray[Any]) -> int:
        """Describe a matrix, whose rows may lie apart, to ggml."""
        address = int(self._ggml.ggml_new_tensor_2d(context, kind, *array.shape[::-1]))
        tensor = GgmlTensor.from_address(address)
        tensor.data = array.ctypes.data
        tensor.nb[1] = array.strides[0]
        tensor.nb[2] = tensor.nb[3] = array.strides[0] * len(array)
        return address

    def _compute(self, build: Callable[[int], int]) -> None:
        """Compute the node that `build` makes in a context; ggml's state is one for each thread."""
        if not hasattr(self._of_thread, "cpu"):
            self._of_thread.cpu = _Cpu(self._ggml)
        context = self._ggml.ggml_init(_InitParams(self._memory, None, True))
        graph = self._ggml.ggml_new_graph_custom(context, _TENSORS_OF_A_PRODUCT, False)
        self._ggml.ggml_build_forward_expand(graph, build(context))
        self._ggml.ggml_backend_graph_compute(self._of_thread.cpu.address, graph)
        self._ggml.ggml_free(context)


class _Cpu:
    """Hold what computes on one core; freed with its thread."""

    def __init__(self, ggml: Any) -> None:
        self.address = _registry().ggml_backend_init_by_name(b"CPU", None)
        self._free = ggml.ggml_backend_free
        _cpu_function(b"ggml_backend_set_n_threads", None, _POINTER, ctypes.c_int)(self.address, 1)

    def __del__(self) -> None:
        self._free(self.address)


def has_bfloat16_unit() -> bool:
    """Tell whether ggml was built for a processor that multiplies bfloat16, with the kernels that do so."""
    features = _cpu_function(b"ggml_backend_get_features", ctypes.POINTER(_Feature), _POINTER)
    listed = features(_registry().ggml_backend_reg_by_name(b"CPU"))
    ending = next(index for index in itertools.count() if not listed[index].name)
    names = {feature.name for feature in listed[:ending] if feature.value != b"0"}
    return {b"AVX512_BF16", b"LLAMAFILE"} <= names


def choose_products(companion: Companion) -> Products:
    """Choose what is fastest without losing digits of the weights."""
    if not has_bfloat16_unit():
        return Float32Products("float32: the processor has no unit for bfloat16")
    if companion.settings.hidden < SMALLEST_HIDDEN:
        return Float32Products("float32: the tower is small")
    if not companion.is_bfloat16:
        return Float32Products("float32: the weights have more digits than bfloat16")
    return Bfloat16Products()


class _InitParams(ctypes.Structure):
    """Mirror `struct ggml_init_params`."""

    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", _POINTER), ("no_alloc", ctypes.c_bool)]


class _Feature(ctypes.Structure):
    """Mirror `struct ggml_backend_feature`."""

    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p)]


def _cpu_function(name: bytes, result: Any, *arguments: Any) -> Any:
    """Find a function of the code for this processor, which may be one library of several."""
    registry = _registry().ggml_backend_reg_by_name(b"CPU")
    address = _declare_ggml().ggml_backend_reg_get_proc_address(registry, name)
    return ctypes.CFUNCTYPE(result, *arguments)(address)


@functools.cache
def _registry() -> Any:
    """Declare the functions of the library that knows all backends."""
    load_backends()
    library = ggml_library("ggml")
    library.ggml_backend_init_by_name.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.ggml_backend_init_by_name.restype = _POINTER
    library.ggml_backend_reg_by_name.argtypes, library.ggml_backend_reg_by_name.restype = [ctypes.c_char_p], _POINTER
    return library


@functools.cache
def _declare_ggml() -> Any:
    """Declare the functions that build graphs and compute them."""
    library = ggml_library("ggml-base")
    pointers = {
        "ggml_init": [_InitParams],
        "ggml_new_tensor_2d": [_POINTER, ctypes.c_int, ctypes.c_int64, ctypes.c_int64],
        "ggml_cpy": [_POINTER] * 3,
        "ggml_mul_mat": [_POINTER] * 3,
        "ggml_new_graph_custom": [_POINTER, ctypes.c_size_t, ctypes.c_bool],
        "ggml_backend_reg_get_proc_address": [_POINTER, ctypes.c_char_p],
    }
    for name, arguments in pointers.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, _POINTER
    without_result = {"ggml_build_forward_expand": 2, "ggml_free": 1, "ggml_backend_free": 1}
    for name, count in without_result.items():
        function = getattr(library, name)
        function.argtypes, function.restype = [_POINTER] * count, None
    library.ggml_backend_graph_compute.argtypes = [_POINTER, _POINTER]
    library.ggml_tensor_overhead.restype = ctypes.c_size_t
    library.ggml_graph_overhead_custom.argtypes = [ctypes.c_size_t, ctypes.c_bool]
    library.ggml_graph_overhead_custom.restype = ctypes.c_size_t
    return library
