"""`engine chat`: answer one prompt, streaming the text to standard output."""

import argparse
import contextlib
import dataclasses
import json
import sys

from engine.commands.model_choice import add_model_arguments, add_picture_arguments, load_request, picture_paths
from engine.protocol import Chat, ChatResult, Done, Event, Failed, LoadResult, Message, Notice, Sampling, Token
from engine.supervisor import Supervisor


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    defaults = Sampling()
    parser = subparsers.add_parser("chat", help="answer one prompt")
    parser.add_argument("--model", required=True, metavar="MODEL", help="library name or path of a GGUF file")
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="what the user says")
    parser.add_argument("--system", metavar="TEXT", help="system message")
    parser.add_argument("--temperature", type=float, default=defaults.temperature, metavar="T", help="0: greedy")
    parser.add_argument("--top-k", type=int, default=defaults.top_k, metavar="K", help="0: off")
    parser.add_argument("--top-p", type=float, default=defaults.top_p, metavar="P")
    parser.add_argument("--min-p", type=float, default=defaults.min_p, metavar="P")
    parser.add_argument("--repeat-penalty", type=float, default=defaults.repeat_penalty, metavar="X")
    parser.add_argument("--frequency-penalty", type=float, default=defaults.frequency_penalty, metavar="X")
    parser.add_argument("--presence-penalty", type=float, default=defaults.presence_penalty, metavar="X")
    parser.add_argument("--seed", type=int, metavar="N", help="default: random")
    parser.add_argument("--max-tokens", type=int, default=0, metavar="N", help="default: to the end of the context")
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end before this text")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the text")
    add_picture_arguments(parser)
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load the model and print its answer."""
    load, chat = load_request(arguments), _chat_request(arguments)
    with contextlib.closing(Supervisor()) as client:
        loaded = client.call(load)
        assert isinstance(loaded, LoadResult)
        for note in loaded.model.notes:
            print(f"engine: {note.message}", file=sys.stderr)
        answer = client.call(chat, None if arguments.json else _show)
    assert isinstance(answer, ChatResult)
    if arguments.json:
        print(json.dumps({**dataclasses.asdict(answer), **dataclasses.asdict(loaded)}, ensure_ascii=False))
    return 0


def _chat_request(arguments: argparse.Namespace) -> Chat:
    system = [Message("system", arguments.system)] if arguments.system else []
    sampling = Sampling(
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        min_p=arguments.min_p,
        repeat_penalty=arguments.repeat_penalty,
        frequency_penalty=arguments.frequency_penalty,
        presence_penalty=arguments.presence_penalty,
        seed=arguments.seed,
    )
    messages = (*system, Message("user", arguments.prompt, picture_paths(arguments)))
    return Chat(messages, sampling, arguments.max_tokens, tuple(arguments.stop), arguments.num_crops)


def _show(event: Event) -> None:
    if isinstance(event, Token):
        print(event.text, end="", flush=True)
    elif isinstance(event, Done | Failed):
        print()
    elif isinstance(event, Notice):
        print(f"engine: {event.message}", file=sys.stderr)
