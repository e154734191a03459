"""Give the changes of this version as notes of a release: `python -m release.changelog [TAG]`.

Ends with 1 and a sentence when the tag is not that of the version, or when CHANGELOG.md does not tell of it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from engine.version import VERSION
from release.components import ROOT

CHANGELOG = ROOT / "CHANGELOG.md"
_HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


class NotReady(Exception):
    """Say in a sentence what is missing for a release."""


def main(arguments: list[str]) -> int:
    """Print the notes and return the exit status."""
    tag = arguments[0] if arguments else ""
    try:
        if tag and tag != f"v{VERSION}":
            raise NotReady(f"The tag is {tag}, and the version in engine/version.py is {VERSION}.")
        print(notes(CHANGELOG, VERSION), end="")
    except NotReady as error:
        print(f"changelog: {error}", file=sys.stderr)
        return 1
    return 0


def notes(changelog: Path, version: str) -> str:
    """Give what a changelog says of a version; raises NotReady when it says nothing, or not from when it is."""
    text = changelog.read_text("utf-8")
    headings = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    for heading, end in zip(headings, ends, strict=True):
        if heading["version"] == version:
            body = text[heading.end() : end].strip()
            if not heading["date"] or not body:
                raise NotReady(f"{changelog.name} has no date or no changes for {version}.")
            return body + "\n"
    raise NotReady(f"{changelog.name} has no section [{version}].")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
