"""`engine logits`: write the logits after the last token of a prompt."""

import argparse
import contextlib
import json
from pathlib import Path

from engine.client import EngineClient
from engine.commands.model_choice import add_model_arguments, add_picture_arguments, load_request, picture_paths
from engine.errors import EngineError
from engine.protocol import Logits, LogitsResult, Message


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("logits", help="write the logits after the last token")
    parser.add_argument("--model", required=True, metavar="MODEL", help="library name or path of a GGUF file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompt", metavar="TEXT", help="one user turn, through the chat template")
    source.add_argument("--tokens", type=Path, metavar="FILE.json", help="list of ids, evaluated as they are")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.npz", help="gets `logits`, `tokens`, `image_embeds`"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_picture_arguments(parser)
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load the model, evaluate, and say where the result is."""
    out, pictures = str(arguments.out.resolve()), picture_paths(arguments)
    if arguments.tokens is not None:
        request = Logits(out, _read_tokens(arguments.tokens), None, pictures, arguments.num_crops)
    else:
        request = Logits(out, None, (Message("user", arguments.prompt, pictures),), (), arguments.num_crops)
    load = load_request(arguments)
    with contextlib.closing(EngineClient()) as client:
        client.call(load)
        result = client.call(request)
    assert isinstance(result, LogitsResult)
    document = {"path": str(arguments.out), "tokens": result.tokens}
    print(json.dumps(document) if arguments.json else arguments.out)
    return 0


def _read_tokens(path: Path) -> tuple[int, ...]:
    try:
        tokens = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EngineError("input_invalid", f"{path} cannot be read as JSON.", None, str(error)) from error
    if not isinstance(tokens, list) or not tokens or not all(type(token) is int for token in tokens):
        raise EngineError("input_invalid", f"{path} must hold a list of token ids.")
    return tuple(tokens)
