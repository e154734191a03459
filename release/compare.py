"""Compare two builds by their manifests: `python -m release.compare ONE.files.json OTHER.files.json`.

A build writes `phidelity.files.json` beside its folder: the SHA-256 of every file, and the target of every link.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Print what differs; return 0 when nothing does, 1 otherwise, and 2 for files that are no manifests."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        one, other = (read_manifest(Path(name)) for name in arguments)
    except (OSError, ValueError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    found = differences(one, other)
    print("\n".join(found) if found else f"{len(one)} files are the same.")
    return 1 if found else 0


def read_manifest(path: Path) -> dict[str, str]:
    """Read a manifest; raises OSError and ValueError."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is not a manifest of a build.") from error
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise ValueError(f"{path.name} is not a manifest of a build.")
    return content


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Give a line for each file that only one of them has, or that differs."""
    lines = []
    for name in sorted(one.keys() | other.keys()):
        if name not in other:
            lines.append(f"only in the first: {name}")
        elif name not in one:
            lines.append(f"only in the second: {name}")
        elif one[name] != other[name]:
            lines.append(f"differs: {name}")
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
