"""Take one picture into a folder: `python -m engine.pictures SOURCE FOLDER NAME`.

Files from anywhere are decoded here and nowhere else on the window's side: whatever a hostile one does to a decoder
happens to a process that holds nothing. Standard output is one line of JSON.
"""

import sys
from pathlib import Path

from engine.errors import EngineError
from engine.pictures.limits import limit_resources
from engine.pictures.stored_picture import encode


def main(arguments: list[str]) -> int:
    """Do it and return the exit status."""
    if len(arguments) != 3:
        print("usage: python -m engine.pictures SOURCE FOLDER NAME", file=sys.stderr)  # noqa: T201
        return 2
    source, folder, name = arguments
    limit_resources()
    try:
        from engine.pictures.intake import take_in  # after the limits, because libraries take memory as they load

        line, status = encode(take_in(Path(source), Path(folder), name)), 0
    except EngineError as error:
        line, status = encode(error), error.exit_status
    except MemoryError:
        failure = EngineError("out_of_memory", f"There is not enough memory to open {name}.", "Close other programs.")
        line, status = encode(failure), failure.exit_status
    sys.stdout.write(line + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
