"""`engine data`: look at training data, leave out what harms, write what is left."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from engine.client import EngineClient
from engine.commands.synthesize import add_action
from engine.data.examination import CHECKS, CheckOptions, Examination, examine, installed_checks
from engine.data.example import Example
from engine.data.near_duplicates import DEFAULT_THRESHOLD
from engine.data.output import check_out, report_path, write_examples
from engine.data.report import make_report
from engine.errors import EngineError
from engine.library.folders import STARTER_NAME, resolve_model
from engine.protocol import Count, CountResult, Load, Message

DROPPED = ("duplicate", "empty", "roles", "template")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its actions."""
    parser = subparsers.add_parser("data", help="look at training data and filter it")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    inspect = actions.add_parser("inspect", help="say what a file holds and what is wrong with it")
    inspect.set_defaults(run=run_inspect)
    filtering = actions.add_parser("filter", help="leave out the examples in which checks find something")
    filtering.set_defaults(run=run_filter)
    dedup = actions.add_parser("dedup", help="leave out examples that repeat another")
    dedup.set_defaults(run=run_dedup)
    add_action(actions)
    for action in (inspect, filtering, dedup):
        action.add_argument("source", type=Path, metavar="IN", help="file or folder")
        action.add_argument("--json", action="store_true", help="print one JSON document")
    for action in (filtering, dedup):
        action.add_argument("out", type=Path, metavar="OUT", help="JSON Lines; the report is written beside it")
    for action in (inspect, filtering):
        _add_checks(action)
    filtering.add_argument("--drop", metavar="CHECK,...", help=f"of {', '.join(CHECKS)}; default {','.join(DROPPED)}")
    for action in (inspect, filtering, dedup):
        text = f"least likeness of near-duplicates, above 0 and at most 1 (default {DEFAULT_THRESHOLD})"
        action.add_argument("--threshold", type=float, default=DEFAULT_THRESHOLD, metavar="X", help=text)


def _add_checks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-tokens", type=int, default=0, metavar="N", help="conversations above are too long")
    parser.add_argument("--model", metavar="MODEL", help="whose tokens are counted (default: starter)")
    parser.add_argument("--models-dir", type=Path, metavar="DIR", help="the library's folder")
    parser.add_argument("--language", default="", metavar="CODE", help="the language to keep (default: that of most)")
    parser.add_argument(
        "--against", type=Path, action="append", default=[], metavar="FILE", help="evaluation not to be repeated"
    )


def run_inspect(arguments: argparse.Namespace) -> int:
    """Examine and print the report."""
    with _options(arguments) as options:
        report = make_report(_examine(arguments.source, options))
    print(json.dumps(report.to_json(), ensure_ascii=False) if arguments.json else report.to_text())
    return 0


def run_filter(arguments: argparse.Namespace) -> int:
    """Examine, and write what the chosen checks leave."""
    drop = set(_dropped(arguments))
    with _options(arguments) as options:
        needs_near = "near-duplicate" in drop
        options = replace(options, near_threshold=_threshold(arguments) if needs_near else None)
        options = replace(options, guess_language=options.guess_language or "language" in drop)
        return _write(arguments, options, drop)


def run_dedup(arguments: argparse.Namespace) -> int:
    """Write each example once."""
    options = CheckOptions(guess_language=False, near_threshold=_threshold(arguments))
    return _write(arguments, options, {"duplicate", "near-duplicate"})


def _write(arguments: argparse.Namespace, options: CheckOptions, drop: set[str]) -> int:
    source, out = arguments.source, arguments.out
    check_out(out, [source])
    examination = _examine(source, options)
    kept = examination.kept(drop)
    if not kept:
        raise EngineError("input_invalid", "No example would be left.", "See why with: engine data inspect")
    report = make_report(examination, drop=drop, kept=kept)
    size = sum(file.size for file, _ in examination.sources)
    write_examples(out, examination.examples(kept), report, size)
    if arguments.json:
        places = {"path": str(out), "report": str(report_path(out))}
        print(json.dumps(places | report.to_json(), ensure_ascii=False))
    else:
        print(f"{report.to_text()}\n{out}")
    return 0


def _dropped(arguments: argparse.Namespace) -> list[str]:
    """Give the checks whose findings go: those named, or the usual ones and those that the other options ask for."""
    if arguments.drop is None:
        asked = {"too-long": arguments.max_tokens, "language": arguments.language, "contaminated": arguments.against}
        return [*DROPPED, *(check for check, is_asked in asked.items() if is_asked)]
    names = [name.strip() for name in arguments.drop.split(",") if name.strip()]
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        raise EngineError("bad_request", f"There is no check {unknown[0]!r}.", f"Choose of: {', '.join(CHECKS)}.")
    if "too-long" in names and not arguments.max_tokens:
        raise EngineError("bad_request", "What is too long is not said.", "Add --max-tokens N.")
    if "contaminated" in names and not arguments.against:
        raise EngineError("bad_request", "No evaluation is named.", "Add --against FILE.")
    return names


def _threshold(arguments: argparse.Namespace) -> float:
    if not 0 < arguments.threshold <= 1:
        raise EngineError("bad_request", "The threshold must be above 0 and at most 1.")
    return float(arguments.threshold)


@contextlib.contextmanager
def _options(arguments: argparse.Namespace) -> Iterator[CheckOptions]:
    """Give the checks that the arguments ask for, with a worker that counts tokens where they are wanted."""
    if arguments.max_tokens < 0:
        raise EngineError("bad_request", "--max-tokens must be a positive number.")
    options = installed_checks()
    near = None if options.near_threshold is None else _threshold(arguments)
    options = replace(options, near_threshold=near, evaluations=tuple(arguments.against))
    options = replace(options, max_tokens=arguments.max_tokens, language=arguments.language.lower())
    if arguments.language:
        options = replace(options, guess_language=True)
    if not arguments.max_tokens and not arguments.model:
        yield options
        return
    model = resolve_model(arguments.model or STARTER_NAME, arguments.models_dir)
    with contextlib.closing(EngineClient()) as client:
        client.call(Load(str(model.resolve()), context=1))
        yield replace(options, count_tokens=lambda example: count_tokens(client, example))


def count_tokens(client: EngineClient, example: Example) -> int:
    """Count with a worker's model; of a preference the longer way, 0 where the model cannot be told the example."""
    ways = (example.chosen, example.rejected) if example.kind == "preference" else ((),)
    return max(_count(client, example.messages + way) for way in ways)


def _count(client: EngineClient, messages: tuple[Message, ...]) -> int:
    try:
        result = client.call(Count(messages))
    except EngineError as error:
        if error.code in ("template_invalid", "picture_invalid", "bad_request", "model_unsupported"):
            return 0
        raise
    assert isinstance(result, CountResult)
    return result.prompt_tokens


def _examine(source: Path, options: CheckOptions) -> Examination:
    shows = sys.stderr.isatty()
    try:
        return examine([source], options, _show if shows else None)
    except MemoryError as error:
        message = "This computer ran out of memory."
        raise EngineError("out_of_memory", message, "Divide the data into smaller files.") from error
    finally:
        if shows:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _show(name: str, done: int, total: int) -> None:
    """Rewrite one line on a terminal."""
    print(f"\r\033[K{name} {100 * done / max(total, 1):.0f} %", end="", file=sys.stderr, flush=True)
