"""Answer one token on older processors: `python -m release.mask PROGRAM_FOLDER`, with qemu-user on x86-64 Linux.

qemu refuses the instructions that a processor lacks, so an answer shows that neither Python's packages nor the
variant of ggml that was chosen need them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PROCESSORS = {"Nehalem": "sse42", "SandyBridge": "sandybridge", "Haswell": "haswell"}
"""qemu's names of processors, and the variant of ggml's code that suits each best."""

_VARIANT = re.compile(r"libggml-cpu-(\w+)\.so")


class MaskFailure(Exception):
    """Say in a line what did not work."""


def main(arguments: list[str]) -> int:
    """Try every processor and return the exit status."""
    folder = Path(arguments[0]).absolute()
    if shutil.which("qemu-x86_64") is None:
        print("mask: qemu-x86_64 is needed (Debian's qemu-user).", file=sys.stderr)
        return 2
    for processor, variant in PROCESSORS.items():
        try:
            used, answer = answer_on(folder, processor)
        except MaskFailure as failure:
            print(f"mask: {processor}: {failure}", file=sys.stderr)
            return 1
        if used != variant:
            print(f"mask: {processor} computed with {used}, and {variant} was expected.", file=sys.stderr)
            return 1
        print(f"{processor}: {answer!r} with {used}", flush=True)
    return 0


def answer_on(folder: Path, processor: str) -> tuple[str, str]:
    """Give the variant that was loaded and the first token of an answer of the Starter; raises MaskFailure."""
    command = ["qemu-x86_64", "-cpu", processor, *_started_again(folder), str(folder / "phidelity-engine")]
    worker = subprocess.Popen(
        [*command, "-m", "engine.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    try:
        starter = folder / "_internal" / "assets" / "models" / "starter.gguf"
        _ask(worker, {"id": 1, "op": "load", "path": str(starter), "context": 512})
        mapped = set(_VARIANT.findall(Path(f"/proc/{worker.pid}/maps").read_text()))
        messages = [{"role": "user", "content": "Hi"}]
        done = _ask(
            worker, {"id": 2, "op": "chat", "messages": messages, "sampling": {"temperature": 0}, "max_tokens": 1}
        )
    finally:
        worker.kill()
        worker.communicate()
    if len(mapped) != 1 or not done["text"]:
        raise MaskFailure(f"the variants {sorted(mapped)} are loaded, and the answer is {done['text']!r}.")
    return mapped.pop(), done["text"]


def _started_again(folder: Path) -> list[str]:
    """Give the options that put the program into the state after it has started itself once more.

    PyInstaller's loader does that to set the path of libraries; the second start would run outside of qemu.
    """
    variables = {
        "_PYI_ARCHIVE_FILE": str(folder / "phidelity-engine"),
        "_PYI_PARENT_PROCESS_LEVEL": "-1",
        "_PYI_LINUX_PROCESS_NAME": "phidelity-engin",
        "LD_LIBRARY_PATH": str(folder / "_internal"),
    }
    return [word for name, value in variables.items() for word in ("-E", f"{name}={value}")]


def _ask(worker: subprocess.Popen[str], request: dict[str, Any]) -> dict[str, Any]:
    """Send a request and give its last event."""
    assert worker.stdin and worker.stdout
    worker.stdin.write(json.dumps(request) + "\n")
    worker.stdin.flush()
    for line in worker.stdout:
        event = json.loads(line)
        if event.get("id") == request["id"] and event["event"] in ("done", "error"):
            if event["event"] == "error":
                raise MaskFailure(event["message"])
            return dict(event)
    raise MaskFailure(f"the program ended with {worker.wait()} (an instruction that is not there ends it with -4).")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
