"""Run a module with the packages of training: `python -m engine.training_environment.enter MODULE ARGUMENTS`.

Where PyTorch can be imported anyway, as in an environment of a developer, or the packages are not ready, the module
runs with what there is and says itself what it lacks.
"""

import importlib.util
import runpy
import sys

from engine.training_environment.environment import default_environment, use_ready
from engine.training_environment.lock import program_lock

MODULES = ("engine.jobs", "engine.training.preview")


def enter() -> None:
    """Put the user's training packages on the path, if they are ready and needed."""
    if importlib.util.find_spec("torch") is None:
        use_ready(default_environment(), program_lock())


def main(arguments: list[str]) -> None:
    """Run the module that the arguments name."""
    if not arguments or arguments[0] not in MODULES:
        sys.exit(f"usage: python -m engine.training_environment.enter {'|'.join(MODULES)} ...")
    enter()
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=False)


if __name__ == "__main__":
    main(sys.argv[1:])
