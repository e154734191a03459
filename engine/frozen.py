"""Be the console program of an installed Phidelity: the command line, and every process that the window starts.

phidelity-engine COMMAND ...            as `python -m engine COMMAND ...`
phidelity-engine -m MODULE ...          as `python -m MODULE ...`, for the modules below
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from engine.launch import restore_library_path
from engine.processor import processor_problem

MODULES = (
    "engine.worker",
    "engine.jobs",
    "engine.pictures",
    "engine.training.preview",
    "engine.training_environment.enter",
    "engine.training_environment.check",
    "engine",
    "converter",
)


def main(arguments: Sequence[str]) -> int:
    """Run the command line or one of the modules and give the exit status."""
    restore_library_path()
    problem = processor_problem()
    if problem is not None:
        print(f"phidelity-engine: {problem}", file=sys.stderr)  # noqa: T201
        return 1
    if arguments[:1] == ["data"]:
        from engine.training_environment.enter import enter

        enter()
    if arguments[:1] != ["-m"]:
        from engine.__main__ import main as run_command

        return run_command(list(arguments))
    module = arguments[1] if len(arguments) > 1 else ""
    if module not in MODULES:
        print(f"phidelity-engine: there is no module called {module!r}.", file=sys.stderr)  # noqa: T201
        return 2
    sys.argv = [module, *arguments[2:]]
    runpy.run_module(module, run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
