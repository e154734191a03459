"""Evaluate ids and embeddings with llama.cpp's low-level API."""

import ctypes

import llama_cpp.llama_cpp as llama
import numpy as np

from engine.vision.prompt import picture_runs

SHORT_FACTORS_UP_TO = 4096


def last_logits(path, ids, embeddings):
    """Return the logits after the last id; the embeddings of picture k stand in for the ids -k."""
    llama.llama_backend_init()
    params = llama.llama_model_default_params()
    params.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(str(path).encode(), params)
    assert model
    settings = llama.llama_context_default_params()
    settings.n_ctx = SHORT_FACTORS_UP_TO if len(ids) <= SHORT_FACTORS_UP_TO else 2 * SHORT_FACTORS_UP_TO
    settings.n_batch = settings.n_ubatch = 1024
    settings.n_threads = settings.n_threads_batch = 2
    settings.type_k = settings.type_v = 0
    settings.flash_attn_type = 0
    context = llama.llama_init_from_model(model, settings)
    assert context
    try:
        for start, stop, values in _stretches(np.asarray(ids), embeddings):
            _evaluate(context, start, stop, values, last=stop == len(ids))
        size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
        return np.ctypeslib.as_array(llama.llama_get_logits_ith(context, -1), (size,)).copy()
    finally:
        llama.llama_free(context)
        llama.llama_model_free(model)


def _stretches(ids, embeddings, most=1024):
    """Cut the prompt where text and pictures meet, and into batches."""
    pictures = {run.start: (run.stop, embeddings[run.number - 1]) for run in picture_runs(ids)}
    place = 0
    while place < len(ids):
        stop, values = pictures.get(place, (min([*(start for start in pictures if start > place), len(ids)]), None))
        for start in range(place, stop, most):
            end = min(start + most, stop)
            yield start, end, ids[start:end] if values is None else values[start - place : end - place]
        place = stop


def _evaluate(context, start, stop, values, last):
    count, width = stop - start, 0 if values.ndim == 1 else values.shape[1]
    batch = llama.llama_batch_init(count, width, 1)
    batch.n_tokens = count
    values = np.ascontiguousarray(values, np.float32 if width else np.int32)
    ctypes.memmove(batch.embd if width else batch.token, values.ctypes.data, values.nbytes)
    for index in range(count):
        batch.pos[index] = start + index
        batch.n_seq_id[index] = 1
        batch.seq_id[index][0] = 0
        batch.logits[index] = last and index == count - 1
    assert llama.llama_decode(context, batch) == 0
    llama.llama_batch_free(batch)
