"""Compare the first token of a second turn with evaluating nothing but its new tokens in a bare loop over llama.cpp.

Run `python -m benchmarks.prefix_reuse [MODEL] [--runs N] [--words N]`. Both sides run in turn; printed are medians and
their ratio, of which the mark is at most 1.1, and how much faster the second turn is than reading everything.
"""

import argparse
import contextlib
import statistics

from benchmarks.bare_loop import BareLoop
from engine.client import EngineClient
from engine.library.folders import resolve_model
from engine.protocol import Chat, ChatResult, Load, LoadResult, Message, Sampling

QUESTION = "And what does that mean for people who live near the sea and have never left it in all their years? " * 2


def answer(client: EngineClient, messages: list[Message], tokens: int) -> ChatResult:
    """Ask for a greedy answer."""
    result = client.call(Chat(tuple(messages), Sampling(temperature=0), tokens))
    assert isinstance(result, ChatResult)
    return result


def main() -> None:
    """Print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--words", type=int, default=300)
    options = parser.parse_args()
    path = resolve_model(options.model).resolve()
    first_turns, second_turns, bare = [], [], []
    with contextlib.closing(EngineClient()) as client:
        loaded = client.call(Load(str(path), gpu_layers=0))
        assert isinstance(loaded, LoadResult)
        with BareLoop(path, loaded.model, 4096) as loop:
            for index in range(options.runs):
                # A first word of its own makes the whole conversation new.
                messages = [Message("user", f"{index}. Tell me about this: " + "word " * options.words)]
                first = answer(client, messages, 16)
                messages += [Message("assistant", first.text), Message("user", QUESTION)]
                second = answer(client, messages, 1)
                new = second.prompt_tokens - second.cached_tokens
                figures = loop.run(held=second.cached_tokens, new=new, write=0)
                first_turns.append(first.first_token_ms)
                second_turns.append(second.first_token_ms)
                bare.append(figures["first_token_ms"])
    print(f"{loaded.model.name}: {second.cached_tokens} tokens held, {new} new, {options.runs} runs")
    print(f"second turn {statistics.median(second_turns):.1f} ms, new tokens alone {statistics.median(bare):.1f} ms")
    print(f"ratio of medians {statistics.median(second_turns) / statistics.median(bare):.3f}")
    print(f"first turn {statistics.median(first_turns) / statistics.median(second_turns):.1f} times as long")


if __name__ == "__main__":
    main()
