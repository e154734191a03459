"""Import what training needs from a folder of packages: `python -m engine.training_environment.check FOLDER MODULE...`.

It runs in a process of its own, since what cannot be loaded may end it.
"""

import importlib
import sys
from pathlib import Path

from engine.training_environment.environment import use

if __name__ == "__main__":
    use(Path(sys.argv[1]))
    for name in sys.argv[2:]:
        module = importlib.import_module(name)
        if not str(module.__file__ or "").startswith(sys.argv[1]):
            sys.exit(f"{name} was found in {module.__file__}")
