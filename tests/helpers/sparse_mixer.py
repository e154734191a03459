"""Give llama.cpp's mixture of experts the reference's weights while its graph runs."""

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from llama_cpp import _ggml

from converter.gguf_file import read_header
from converter.metadata import ROUTER_JITTER_KEY, ROUTER_SCORE_SCALE_KEY, ROUTER_WEIGHT_SCALE_KEY


def expert_weights(scores, jitter):
    """Return SparseMixer's weights of the two best experts for scores `[n_tokens, n_experts]`."""
    tokens = np.arange(len(scores))
    remaining = scores.copy()
    weights = []
    for _ in range(2):
        chosen = remaining.argmax(axis=1)
        best = remaining[tokens, chosen][:, None]
        far = (best - scores) / np.maximum(np.abs(scores), best) > 2 * jitter
        weights.append(1 / np.exp(np.where(far, -np.inf, remaining) - best).sum(axis=1))
        remaining[tokens, chosen] = -np.inf
    return np.stack(weights, axis=1)


def sparse_mixer_callback(path: Path) -> Any:
    """Return an evaluation callback for the model at `path`."""
    header = read_header(path)
    n_experts = int(header.number("phimoe.expert_count"))
    jitter, score_scale, weight_scale = (
        header.number(key) for key in (ROUTER_JITTER_KEY, ROUTER_SCORE_SCALE_KEY, ROUTER_WEIGHT_SCALE_KEY)
    )
    ggml = _ggml.libggml
    ggml.ggml_get_name.restype = ctypes.c_char_p
    ggml.ggml_get_name.argtypes = [ctypes.c_void_p]
    ggml.ggml_nbytes.restype = ctypes.c_size_t
    ggml.ggml_nbytes.argtypes = [ctypes.c_void_p]
    for copy in (ggml.ggml_backend_tensor_get, ggml.ggml_backend_tensor_set):
        copy.restype = None
        copy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
    scores = []

    @llama.ggml_backend_sched_eval_callback
    def callback(tensor, ask, user_data):
        name = ggml.ggml_get_name(tensor)
        is_scores, is_weights = name.startswith(b"ffn_moe_logits-"), name.startswith(b"ffn_moe_weights_norm-")
        if ask:
            return is_scores or is_weights
        values = np.empty(ggml.ggml_nbytes(tensor) // 4, np.float32)
        if is_scores:
            ggml.ggml_backend_tensor_get(tensor, values.ctypes.data, 0, values.nbytes)
            scores[:] = [values.reshape(-1, n_experts) / score_scale]
        elif is_weights:
            values[:] = (expert_weights(scores[0], jitter) * weight_scale).reshape(-1)
            ggml.ggml_backend_tensor_set(tensor, values.ctypes.data, 0, values.nbytes)
        return True

    return callback
