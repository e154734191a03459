"""Compare decoding by the portable build of llama.cpp with the native one, on the same file and threads.

Run `python -m benchmarks.portable PROGRAM [--runs N] [--tokens N] [--threads N]`; PROGRAM is the packaged
`phidelity-engine`, or the Python of an environment with the portable build. Both answer in turn; printed are medians of
tokens/s and their ratio, of which the mark is at least 0.97.
"""

import argparse
import contextlib
import statistics
from pathlib import Path

from engine.client import EngineClient
from engine.library.folders import resolve_model
from engine.protocol import Chat, ChatResult, Load, LoadResult, Message, Sampling


def main() -> None:
    """Print the medians, their ratio and the median of the ratios of neighbours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    load = Load(str(resolve_model(options.model).resolve()), threads=options.threads, gpu_layers=0)
    chat = Chat((Message("user", "Tell a very long story about the sea."),), Sampling(temperature=0), options.tokens)
    portable_command = [str(options.program.absolute()), "-m", "engine.worker"]
    with (
        contextlib.closing(EngineClient()) as native,
        contextlib.closing(EngineClient(portable_command)) as portable,
    ):
        for client in (native, portable):
            loaded = client.call(load)
            assert isinstance(loaded, LoadResult)
            speed(client, chat)
        pairs = [(speed(native, chat), speed(portable, chat)) for _ in range(options.runs)]
    medians = [statistics.median(side) for side in zip(*pairs, strict=True)]
    print(f"{loaded.model.name}, {loaded.model.threads} threads, {options.runs} runs of {options.tokens} tokens")
    print(f"native {medians[0]:.2f} tokens/s, portable {medians[1]:.2f} tokens/s")
    print(f"ratio of medians {medians[1] / medians[0]:.3f}")
    print(f"median of ratios {statistics.median(other / one for one, other in pairs):.3f}")


def speed(client: EngineClient, chat: Chat) -> float:
    """Let a worker answer once and give its tokens/s."""
    answer = client.call(chat)
    assert isinstance(answer, ChatResult)
    return answer.tokens_per_second


if __name__ == "__main__":
    main()
