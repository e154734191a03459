"""Run llama.cpp as directly as Python can, as the yardstick of other benchmarks.

A process of its own, so that both sides have the same surroundings: `python -m benchmarks.bare_loop FILE THREADS
BATCH_THREADS CONTEXT` reads tasks `{"held": N, "new": N, "write": N}` from standard input, one a line. For each it
evaluates `held` tokens, then times the evaluation of `new` tokens with the first token drawn, then the writing of
`write` more tokens, and answers `{"first_token_ms": X, "tokens_per_second": X}`.
"""

import ctypes
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import llama_cpp.llama_cpp as llama

from engine.launch import child_environment, python_command
from engine.protocol import LoadedModel


class BareLoop:
    """Own such a process."""

    def __init__(self, path: Path, model: LoadedModel, context: int) -> None:
        """Start it with a loaded model's threads."""
        arguments = (str(path), str(model.threads), str(model.batch_threads), str(context))
        command = python_command("benchmarks.bare_loop", *arguments)
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=child_environment(), text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def run(self, *, held: int, new: int, write: int) -> dict[str, float]:
        """Give the figures of one task."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"held": held, "new": new, "write": write}) + "\n")
        self._process.stdin.flush()
        figures: dict[str, float] = json.loads(self._process.stdout.readline())
        return figures


def _evaluate(context: Any, tokens: list[int]) -> None:
    if tokens:
        ids = (llama.llama_token * len(tokens))(*tokens)
        assert llama.llama_decode(context, llama.llama_batch_get_one(ids, len(tokens))) == 0


def _figures(context: Any, sampler: Any, held: int, new: int, write: int) -> dict[str, float]:
    llama.llama_memory_clear(llama.llama_get_memory(context), True)
    _evaluate(context, [100 + index % 1000 for index in range(held)])
    started = time.perf_counter()
    _evaluate(context, [200 + index % 1000 for index in range(new)])
    token = llama.llama_sampler_sample(sampler, context, -1)
    first = time.perf_counter()
    for _ in range(write):
        _evaluate(context, [token])
        token = llama.llama_sampler_sample(sampler, context, -1)
    ended = time.perf_counter()
    return {"first_token_ms": (first - started) * 1000, "tokens_per_second": write / (ended - first) if write else 0.0}


def main() -> None:
    """Serve tasks until the end of the input."""
    path, threads, batch_threads, cells = sys.argv[1], *map(int, sys.argv[2:])
    silence = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(silence, ctypes.c_void_p(0))
    model_params = llama.llama_model_default_params()
    model_params.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(path.encode(), model_params)
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_batch = cells, cells
    params.n_threads, params.n_threads_batch = threads, batch_threads
    context = llama.llama_init_from_model(model, params)
    assert context
    sampler = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    llama.llama_sampler_chain_add(sampler, llama.llama_sampler_init_greedy())
    for line in sys.stdin:
        print(json.dumps(_figures(context, sampler, **json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
