"""`engine bench`: measure a model on this machine, through the worker as the window uses it."""

import argparse
import contextlib
import json
import statistics
import threading
import time
from dataclasses import asdict, dataclass

import psutil

from engine.client import EngineClient
from engine.commands.model_choice import add_model_arguments, load_request
from engine.protocol import Chat, ChatResult, Load, LoadResult, Message, Ping, Sampling

_SECONDS_BETWEEN_SAMPLES = 0.02


@dataclass(frozen=True, slots=True)
class Figures:
    """Hold the medians; `first_token_ms` is for a short prompt, `peak_memory_bytes` includes the mapped file."""

    model: str
    runs_on: str
    threads: int
    batch_threads: int
    start_ms: float
    load_ms: float
    first_token_ms: float
    prefill_tokens: int
    prefill_tokens_per_second: float
    decode_tokens: int
    decode_tokens_per_second: float
    peak_memory_bytes: int


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("bench", help="measure load, prefill, decode and memory")
    parser.add_argument("model", metavar="MODEL", help="library name or path of a GGUF file")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of which the median counts")
    parser.add_argument("--max-tokens", type=int, default=64, metavar="N", help="tokens to decode in a run")
    parser.add_argument("--prompt-words", type=int, default=240, metavar="N", help="length of the prompt to read")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the figures."""
    figures = measure(load_request(arguments), max(1, arguments.runs), arguments.max_tokens, arguments.prompt_words)
    if arguments.json:
        print(json.dumps(asdict(figures)))
        return 0
    print(f"{figures.model} on {figures.runs_on}, {figures.threads} threads, {figures.batch_threads} to read prompts")
    print(f"start        {figures.start_ms:10.0f} ms")
    print(f"load         {figures.load_ms:10.0f} ms")
    print(f"first token  {figures.first_token_ms:10.0f} ms")
    print(f"prefill      {figures.prefill_tokens_per_second:10.1f} tokens/s over {figures.prefill_tokens} tokens")
    print(f"decode       {figures.decode_tokens_per_second:10.1f} tokens/s over {figures.decode_tokens} tokens")
    print(f"peak memory  {figures.peak_memory_bytes / 1e6:10.0f} MB")
    return 0


def measure(load: Load, runs: int, max_tokens: int, prompt_words: int) -> Figures:
    """Run a worker through `runs` rounds of a short and a long prompt; raises EngineError."""
    started = time.perf_counter()
    with contextlib.closing(EngineClient()) as client, _PeakMemory(client.process_id) as memory:
        client.call(Ping())
        start_ms = (time.perf_counter() - started) * 1000
        loaded = client.call(load)
        assert isinstance(loaded, LoadResult)
        short = [_answer(client, f"{index}. Say hello.", 1) for index in range(runs)]
        # A first word of its own keeps a run from using what the run before has evaluated.
        text = " ".join(f"word{index % 10}" for index in range(prompt_words))
        long = [_answer(client, f"{index}: {text}. Now tell a long story.", max_tokens) for index in range(runs)]
    model = loaded.model
    return Figures(
        model=model.name,
        runs_on=model.runs_on,
        threads=model.threads,
        batch_threads=model.batch_threads,
        start_ms=round(start_ms, 1),
        load_ms=loaded.load_ms,
        first_token_ms=statistics.median(answer.first_token_ms for answer in short),
        prefill_tokens=long[0].prompt_tokens - long[0].cached_tokens,
        prefill_tokens_per_second=round(statistics.median(map(_prefill_speed, long)), 3),
        decode_tokens=min(answer.completion_tokens for answer in long),
        decode_tokens_per_second=statistics.median(answer.tokens_per_second for answer in long),
        peak_memory_bytes=memory.peak,
    )


def _answer(client: EngineClient, text: str, max_tokens: int) -> ChatResult:
    answer = client.call(Chat((Message("user", text),), Sampling(temperature=0), max_tokens))
    assert isinstance(answer, ChatResult)
    return answer


def _prefill_speed(answer: ChatResult) -> float:
    return (answer.prompt_tokens - answer.cached_tokens) / answer.prefill_ms * 1000


class _PeakMemory:
    """Sample the resident memory of a process as long as the block runs."""

    def __init__(self, process_id: int) -> None:
        self._process = psutil.Process(process_id)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.peak = 0

    def __enter__(self) -> "_PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        with contextlib.suppress(psutil.Error):
            while not self._ended.wait(_SECONDS_BETWEEN_SAMPLES):
                self.peak = max(self.peak, self._process.memory_info().rss)
