"""Evaluate token ids with llama.cpp's low-level API and with transformers, and compare logits."""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

Logits = NDArray[np.float32]


@llama.llama_log_callback
def drop_log(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """Keep llama.cpp quiet."""


def llama_logits(
    path: Path,
    ids: Sequence[int],
    n_ctx: int = 0,
    rows: slice = slice(None),
    eval_callback: Any = None,
    yarn_attn_factor: float = -1.0,
) -> Logits:
    """Evaluate `ids` in one go with a GGUF file and return the logits of the positions in `rows`."""
    llama.llama_log_set(drop_log, ctypes.c_void_p())
    llama.llama_backend_init()
    model_params = llama.llama_model_default_params()
    model_params.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(str(path).encode(), model_params)
    assert model, f"llama.cpp cannot load {path}"
    params = llama.llama_context_default_params()
    params.n_ctx = n_ctx or max(256, len(ids))
    params.n_batch = params.n_ubatch = max(32, len(ids))
    params.n_threads = params.n_threads_batch = 2
    params.type_k = params.type_v = 0  # f32, as the reference keeps them
    params.flash_attn_type = 0
    params.yarn_attn_factor = yarn_attn_factor
    if eval_callback is not None:
        params.cb_eval = eval_callback
    context = llama.llama_init_from_model(model, params)
    assert context, "llama.cpp cannot make a context"
    wanted = range(len(ids))[rows]
    batch = llama.llama_batch_init(len(ids), 0, 1)
    try:
        batch.n_tokens = len(ids)
        for position, token in enumerate(ids):
            batch.token[position] = token
            batch.pos[position] = position
            batch.n_seq_id[position] = 1
            batch.seq_id[position][0] = 0
            batch.logits[position] = position in wanted
        assert llama.llama_decode(context, batch) == 0
        n_vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
        rows_out = [np.ctypeslib.as_array(llama.llama_get_logits_ith(context, i), (n_vocab,)).copy() for i in wanted]
        return np.stack(rows_out)
    finally:
        llama.llama_batch_free(batch)
        llama.llama_free(context)
        llama.llama_model_free(model)


def reference_logits(folder: Path, ids: Sequence[int], rows: slice = slice(None)) -> Logits:
    """Evaluate `ids` with transformers in float32 and eager attention."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(torch.tensor([list(ids)]), use_cache=False).logits[0, rows].numpy()


def relative_error(ours: Logits, reference: Logits) -> float:
    """Return the largest relative distance of a row of logits."""
    distances = np.linalg.norm(ours - reference, axis=-1) / np.linalg.norm(reference, axis=-1)
    return float(distances.max())
