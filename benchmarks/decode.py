"""Compare decoding through the worker with a bare loop over llama.cpp on the same file and threads.

Run `python -m benchmarks.decode [MODEL] [--runs N] [--tokens N] [--threads N]`. Both sides run in turn; printed are
medians of tokens/s and their ratio, of which the mark is at least 0.98.
"""

import argparse
import contextlib
import statistics

from benchmarks.bare_loop import BareLoop
from engine.client import EngineClient
from engine.library.folders import resolve_model
from engine.protocol import Chat, ChatResult, Load, LoadResult, Message, Sampling


def main() -> None:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    path = resolve_model(options.model).resolve()
    chat = Chat((Message("user", "Tell a very long story about the sea."),), Sampling(temperature=0), options.tokens)
    with contextlib.closing(EngineClient()) as client:
        loaded = client.call(Load(str(path), threads=options.threads, gpu_layers=0))
        assert isinstance(loaded, LoadResult)
        ours, bare = [], []
        with BareLoop(path, loaded.model, 1024) as loop:
            for _ in range(options.runs):
                answer = client.call(chat)
                assert isinstance(answer, ChatResult)
                if answer.completion_tokens < options.tokens:
                    raise SystemExit(f"the answer ended after {answer.completion_tokens} tokens: use fewer --tokens")
                ours.append(answer.tokens_per_second)
                figures = loop.run(held=0, new=answer.prompt_tokens, write=options.tokens - 1)
                bare.append(figures["tokens_per_second"])
    print(f"{loaded.model.name}, {loaded.model.threads} threads, {options.runs} runs of {options.tokens} tokens")
    print(f"worker {statistics.median(ours):.2f} tokens/s, bare loop {statistics.median(bare):.2f} tokens/s")
    print(f"ratio of medians {statistics.median(ours) / statistics.median(bare):.3f}")


if __name__ == "__main__":
    main()
