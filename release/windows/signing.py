"""Sign programs for Windows with Authenticode, where a certificate is named.

PHIDELITY_SIGNING_THUMBPRINT names the certificate in the store of the user, PHIDELITY_TIMESTAMP_URL the server that
says when it was done. Without the first nothing is signed, and Windows warns before it runs what was downloaded.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

THUMBPRINT, TIMESTAMP = "PHIDELITY_SIGNING_THUMBPRINT", "PHIDELITY_TIMESTAMP_URL"


def signing_command() -> list[str]:
    """Give the command that signs the files named after it; empty without a certificate."""
    thumbprint = os.environ.get(THUMBPRINT, "")
    if not thumbprint:
        return []
    stamp = os.environ.get(TIMESTAMP, "")
    stamping = ["/tr", stamp, "/td", "sha256"] if stamp else []
    return ["signtool", "sign", "/sha1", thumbprint, "/fd", "sha256", *stamping]


def sign(files: Iterable[Path]) -> None:
    """Sign files, if there is a certificate. Raises CalledProcessError."""
    command = signing_command()
    if command:
        subprocess.run([*command, *map(str, files)], check=True)
