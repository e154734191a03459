"""`engine data synthesize`: let a model write new examples like given ones."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.client import EngineClient
from engine.commands.model_choice import add_model_arguments, load_request
from engine.data.example import Example
from engine.data.output import check_out, write_rows
from engine.data.reader import DataFile, data_files
from engine.data.synthesis import Reply, Synthesis
from engine.errors import EngineError
from engine.protocol import Chat, ChatResult, Message, Sampling

MOST_SEEDS = 10_000


def add_action(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the action."""
    parser = actions.add_parser("synthesize", help="let a model write new examples like those of a file")
    parser.add_argument("source", type=Path, metavar="IN", help="conversations to be like, or texts to ask about")
    parser.add_argument("out", type=Path, metavar="OUT", help="JSON Lines")
    parser.add_argument("--model", required=True, metavar="MODEL", help="library name or path of a GGUF file")
    parser.add_argument("--count", type=int, default=10, metavar="N", help="how many (default 10)")
    parser.add_argument("--max-tokens", type=int, default=512, metavar="N", help="longest answer (default 512)")
    parser.add_argument("--temperature", type=float, default=0.9, metavar="T", help="of questions and answers")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same gives the same (default 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the examples; the interrupt key keeps those that are made."""
    if arguments.count < 1 or arguments.max_tokens < 1:
        raise EngineError("bad_request", "--count and --max-tokens must be positive numbers.")
    check_out(arguments.out, [arguments.source])
    seeds = _seeds(arguments.source)
    Sampling(temperature=arguments.temperature)
    with contextlib.closing(EngineClient()) as client:
        client.call(load_request(arguments))
        ask = _Asking(client, arguments.temperature, arguments.max_tokens)
        synthesis = Synthesis(seeds, ask, arguments.count, arguments.seed)
        examples, interrupted = _made(synthesis)
    if not examples:
        reason = f" Most often {synthesis.refused.most_common(1)[0][0]}." if synthesis.refused else ""
        raise EngineError("input_invalid", f"The model wrote no usable example.{reason}", "Choose a larger model.")
    write_rows(arguments.out, examples)
    result = {"path": str(arguments.out), "examples": len(examples), "refused": dict(synthesis.refused)}
    print(json.dumps(result, ensure_ascii=False) if arguments.json else _words(result))
    return 130 if interrupted else 0


def _seeds(source: Path) -> list[Example]:
    items = (item for file in data_files(source) for item in DataFile(file).items() if isinstance(item, Example))
    seeds = [item for item, _ in zip(items, range(MOST_SEEDS), strict=False)]
    if not seeds:
        raise EngineError("input_invalid", f"{source.name} has no example to be like.", "Choose another file.")
    return seeds


class _Asking:
    """Put prompts to a worker's model."""

    def __init__(self, client: EngineClient, temperature: float, max_tokens: int) -> None:
        self._client, self._temperature, self._max_tokens = client, temperature, max_tokens

    def __call__(self, prompt: str, seed: int) -> Reply:
        sampling = Sampling(temperature=self._temperature, seed=seed)
        answer = self._client.call(Chat((Message("user", prompt),), sampling, self._max_tokens))
        assert isinstance(answer, ChatResult)
        return Reply(answer.text, answer.finish_reason == "stop")


def _made(synthesis: Synthesis) -> tuple[list[Example], bool]:
    """Collect what is made until it is enough or the interrupt key is pressed; say which."""
    made: list[Example] = []
    try:
        for example in _shown(synthesis):
            made.append(example)
    except KeyboardInterrupt:
        if not made:
            raise
        return made, True
    return made, False


def _shown(synthesis: Synthesis) -> Iterator[Example]:
    """Rewrite one line on a terminal for each example."""
    shows = sys.stderr.isatty()
    try:
        for number, example in enumerate(synthesis.examples(), 1):
            if shows:
                print(f"\r\033[K{number} of {synthesis.count} examples", end="", file=sys.stderr, flush=True)
            yield example
    finally:
        if shows:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _words(result: dict[str, object]) -> str:
    refused = result["refused"]
    assert isinstance(refused, dict)
    reasons = [f"{count:>8,}  left out: {reason}" for reason, count in refused.items()]
    return "\n".join([f"{result['examples']:>8,}  examples", *reasons, str(result["path"])])
