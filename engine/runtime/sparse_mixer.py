"""Give llama.cpp's mixture of experts the weights of SparseMixer while its graph runs.

llama.cpp weighs the two chosen experts by a softmax over their scores. SparseMixer, as Phi-3.5-MoE has it at inference,
weighs each by a softmax over the experts whose score is near its own (within twice `jitter_noise`, relatively): about 1
each, less where there are near ties. The converter makes llama.cpp's weights equal; the near ties are put right here.
Sums in 16 bits, as a GPU would have them, choose other experts: they are asked for in 32 bits.
Source: `sparsemixer` in the model's code on the Hub and in transformers.
"""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from llama_cpp import _ggml
from numpy.typing import NDArray

from converter.gguf_file import GGUFHeader
from converter.metadata import ROUTER_JITTER_KEY, ROUTER_SCORE_SCALE_KEY, ROUTER_WEIGHT_SCALE_KEY
from engine.runtime.ggml_tensor import add_up_in_32_bits

_SCORES = b"ffn_moe_logits-"
_WEIGHTS = b"ffn_moe_weights_norm-"
_FLOAT_BYTES = 4
_EXPERTS_PER_TOKEN = 2
_NOTICEABLE = 1e-3


class SparseMixer:
    """Hold `callback`, llama.cpp's evaluation callback for contexts of one model; it must outlive them.

    Attributes:
        routings: how often experts were chosen, once for each token in each layer.
        near_ties: how often near ties changed their weights, which other programs do not put right.
    """

    def __init__(self, experts: int, jitter: float, score_scale: float, weight_scale: float) -> None:
        """Take the number of experts, and how scores and weights of the file stand to the reference's."""
        self._experts = experts
        self._jitter = jitter
        self._score_scale = score_scale
        self._weight_scale = weight_scale
        self.routings = self.near_ties = 0
        self._ggml = _declare(_ggml.libggml)
        self._scores: NDArray[np.float32] = np.zeros((0, experts), np.float32)
        self.callback: Any = llama.ggml_backend_sched_eval_callback(self._observe)

    @classmethod
    def of(cls, header: GGUFHeader) -> SparseMixer | None:
        """Read what a file says of its router; None for files without such a one."""
        experts = int(header.number(f"{header.architecture}.expert_count"))
        keys = (ROUTER_JITTER_KEY, ROUTER_SCORE_SCALE_KEY, ROUTER_WEIGHT_SCALE_KEY)
        jitter, score_scale, weight_scale = (float(header.number(key)) for key in keys)
        if experts < _EXPERTS_PER_TOKEN or min(score_scale, weight_scale) <= 0:
            return None
        return cls(experts, jitter, score_scale, weight_scale)

    def _observe(self, tensor: int, ask: bool, user_data: object) -> bool:
        name: bytes = self._ggml.ggml_get_name(tensor)
        is_scores, is_weights = name.startswith(_SCORES), name.startswith(_WEIGHTS)
        if ask:
            add_up_in_32_bits(self._ggml, tensor)
            return is_scores or is_weights
        values = np.empty(self._ggml.ggml_nbytes(tensor) // _FLOAT_BYTES, np.float32)
        if is_scores:
            self._ggml.ggml_backend_tensor_get(tensor, values.ctypes.data, 0, values.nbytes)
            values /= self._score_scale
            self._scores = values.reshape(-1, self._experts)
        elif is_weights and values.size == _EXPERTS_PER_TOKEN * len(self._scores):
            weights = expert_weights(self._scores, self._jitter)
            self.routings += len(weights)
            self.near_ties += int((weights < 1 - _NOTICEABLE).any(axis=1).sum())
            values[:] = (weights * self._weight_scale).reshape(-1)
            self._ggml.ggml_backend_tensor_set(tensor, values.ctypes.data, 0, values.nbytes)
        return True


def expert_weights(scores: NDArray[np.float32], jitter: float) -> NDArray[np.float32]:
    """Return SparseMixer's weights `[n_tokens, 2]` of the two best experts for scores `[n_tokens, n_experts]`."""
    tokens = np.arange(len(scores))
    remaining = scores.copy()
    weights = np.empty((len(scores), _EXPERTS_PER_TOKEN), np.float32)
    for place in range(_EXPERTS_PER_TOKEN):
        chosen = remaining.argmax(axis=1)
        best = remaining[tokens, chosen][:, None]
        far = (best - scores) / np.maximum(np.abs(scores), best) > 2 * jitter
        weights[:, place] = 1 / np.exp(np.where(far, -np.inf, remaining) - best).sum(axis=1)
        remaining[tokens, chosen] = -np.inf
    return weights


def _declare(ggml: Any) -> Any:
    """Declare the functions of ggml.h and ggml-backend.h that are used here."""
    tensor, data, size = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    for name, arguments, result in (
        ("ggml_get_name", [tensor], ctypes.c_char_p),
        ("ggml_op_name", [ctypes.c_int], ctypes.c_char_p),
        ("ggml_nbytes", [tensor], size),
        ("ggml_backend_tensor_get", [tensor, data, size, size], None),
        ("ggml_backend_tensor_set", [tensor, data, size, size], None),
    ):
        function = getattr(ggml, name)
        function.argtypes, function.restype = arguments, result
    return ggml
