"""Compare the threads that a first load measures with the usual ones.

Run `python -m benchmarks.threads [MODEL] [--runs N] [--tokens N] [--words N]`. Two workers have the same model loaded,
one with the numbers of threads that were measured, one with the usual ones; they answer in turn. Printed are medians
and their ratios, which must not be below 1 by more than noise.
"""

import argparse
import contextlib
import random
import statistics
import tempfile

from engine.client import EngineClient
from engine.library.folders import resolve_model
from engine.protocol import Chat, ChatResult, Load, LoadedModel, LoadResult, Message, Sampling


class Worker:
    """Own a worker with the model loaded, and the speeds of its answers."""

    def __init__(self, request: Load) -> None:
        """Start and load."""
        self.client = EngineClient()
        loaded = self.client.call(request)
        assert isinstance(loaded, LoadResult)
        self.model: LoadedModel = loaded.model
        self.load_ms = loaded.load_ms
        self.written: list[float] = []
        self.read: list[float] = []

    def answer(self, text: str, tokens: int) -> None:
        """Answer one message that it has not read before."""
        answer = self.client.call(Chat((Message("user", text),), Sampling(temperature=0), tokens))
        assert isinstance(answer, ChatResult)
        self.written.append(answer.tokens_per_second)
        self.read.append((answer.prompt_tokens - answer.cached_tokens) / answer.prefill_ms * 1000)


def main() -> None:
    """Print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--words", type=int, default=60)
    options = parser.parse_args()
    path = str(resolve_model(options.model).resolve())
    with tempfile.TemporaryDirectory() as cache:
        measured = Worker(Load(path, gpu_layers=0, thread_cache=cache))
    usual = Worker(Load(path, gpu_layers=0))
    words = random.Random(0)
    with contextlib.closing(measured.client), contextlib.closing(usual.client):
        for _ in range(options.runs):
            text = " ".join(str(words.randrange(1000)) for _ in range(options.words))
            for worker in words.sample([measured, usual], 2):
                worker.answer(text, options.tokens)
    for name, worker in (("measured", measured), ("usual", usual)):
        threads = f"{worker.model.threads} to write, {worker.model.batch_threads} to read"
        print(f"{name}: {threads}, loaded in {worker.load_ms / 1000:.2f} s", end=", ")
        print(f"{statistics.median(worker.written):.2f} tokens/s written, {statistics.median(worker.read):.1f} read")
    for name, ours, theirs in (("writing", measured.written, usual.written), ("reading", measured.read, usual.read)):
        print(f"{name}: ratio of medians {statistics.median(ours) / statistics.median(theirs):.3f}")


if __name__ == "__main__":
    main()
