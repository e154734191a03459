"""Compare decoding by the portable build of llama.cpp with the native one, on the same file and threads.

Run `python -m benchmarks.portable PROGRAM [--runs N] [--tokens N] [--threads N]`; PROGRAM is the packaged
`phidelity-engine`. Both answer in turn. Printed are medians of tokens/s and their ratio, of which the mark is at least
0.97, and the same of the tokens per second of processor time, which other programs on the machine disturb less.
"""

import argparse
import contextlib
import statistics
from pathlib import Path
from typing import NamedTuple

import psutil

from engine.client import EngineClient
from engine.library.folders import resolve_model
from engine.protocol import Chat, ChatResult, Load, LoadResult, Message, Sampling


class Speed(NamedTuple):
    """Hold tokens per second as the clock and as the processor count them (with its share of the prompt)."""

    by_clock: float
    by_processor: float


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    load = Load(
        str(resolve_model(options.model).resolve()),
        threads=options.threads,
        batch_threads=options.threads,
        gpu_layers=0,
    )
    chat = Chat((Message("user", "Tell a very long story about the sea."),), Sampling(temperature=0), options.tokens)
    with (
        contextlib.closing(EngineClient()) as native,
        contextlib.closing(EngineClient([str(options.program.absolute()), "-m", "engine.worker"])) as portable,
    ):
        for client in (native, portable):
            loaded = client.call(load)
            assert isinstance(loaded, LoadResult)
            measure(client, chat)
        pairs = [(measure(native, chat), measure(portable, chat)) for _ in range(options.runs)]
    print(f"{loaded.model.name}, {options.threads} threads, {options.runs} runs of {options.tokens} tokens in turn")
    for index, unit in enumerate(("tokens/s", "tokens/s of processor time")):
        one = statistics.median(pair[0][index] for pair in pairs)
        other = statistics.median(pair[1][index] for pair in pairs)
        print(f"native {one:.2f}, portable {other:.2f} {unit}: ratio {other / one:.3f}")


def measure(client: EngineClient, chat: Chat) -> Speed:
    """Let a worker answer once; the prompt is the same each time and is not read again."""
    process = psutil.Process(client.process_id)
    before = process.cpu_times()
    answer = client.call(chat)
    assert isinstance(answer, ChatResult)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return Speed(answer.tokens_per_second, answer.completion_tokens / used)


if __name__ == "__main__":
    main()
