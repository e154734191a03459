"""Run the engine's command line: `python -m engine COMMAND`."""

import argparse
import importlib
import io
import os
import pkgutil
import sys
from typing import NoReturn

from engine import commands
from engine.errors import EngineError
from engine.version import VERSION

INTERRUPTED = 130


class OneLineParser(argparse.ArgumentParser):
    """Report wrong usage in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and end with status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def build_parser() -> argparse.ArgumentParser:
    """Collect the commands: every module of `engine.commands` that has `add_parser`."""
    parser = OneLineParser(prog="engine", description="Run Phidelity's models from the command line.")
    parser.add_argument("--version", action="version", version=f"Phidelity {VERSION}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for found in pkgutil.iter_modules(commands.__path__, "engine.commands."):
        module = importlib.import_module(found.name)
        if hasattr(module, "add_parser"):
            module.add_parser(subparsers)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    options = build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except EngineError as error:
        print(f"engine: {error.message}{' ' + error.remedy if error.remedy else ''}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone; Python must not complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
