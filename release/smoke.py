"""Use the built program as somebody does who has nothing but it: `python -m release.smoke PROGRAM_FOLDER`.

Every process gets a new home, a path without Python and a virtual screen. Stray output, a process that is left behind
or a wrong answer ends the test with one line and the status 1.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from release.components import ROOT
from release.macos.packages import programs_folder

SECONDS = 240
START_RUNS = 4
WARM_START_SECONDS = 1.5
_WINDOWS_PATH = os.environ.get("SYSTEMROOT", "C:/Windows") + "/System32"


class SmokeFailure(Exception):
    """Say in a line what the program did wrong."""


class Installed:
    """Be one installed program with a home of its own."""

    def __init__(self, folder: Path, home: Path, display: str | None) -> None:
        """Take the folder of the program, an empty folder and the name of a screen."""
        self.folder = folder
        self.home = home
        kept = {name: os.environ[name] for name in ("SYSTEMROOT", "TEMP", "TMP") if name in os.environ}
        self.environment = {
            **kept,
            "HOME": str(home),
            "USERPROFILE": str(home),
            # A Debian has a Python in /usr/bin, so there is nothing on the path but what Windows cannot do without.
            "PATH": _WINDOWS_PATH if os.name == "nt" else str(home / "nothing"),
            "LANG": "C.UTF-8",
        }
        self.environment["APPDATA"] = self.environment["LOCALAPPDATA"] = str(home / "AppData")
        if display is not None:
            self.environment["DISPLAY"] = display

    def program(self, name: str) -> str:
        """Give the path of a program of the folder."""
        return str(self.folder / (name + (".exe" if os.name == "nt" else "")))

    def run(self, name: str, *arguments: str) -> str:
        """Run a program to its end and give what it printed; raises SmokeFailure."""
        command = [self.program(name), *arguments]
        try:
            done = subprocess.run(
                command, cwd=self.home, env=self.environment, capture_output=True, encoding="utf-8", timeout=SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise SmokeFailure(f"{name} {' '.join(arguments)} did not end.") from error
        if done.returncode or done.stderr.strip():
            what = f"{name} {' '.join(arguments)} ended with {done.returncode} and said {done.stderr.strip()[-2000:]!r}"
            raise SmokeFailure(f"{what}, printing {done.stdout.strip()[-500:]!r}.")
        self.check_nothing_left()
        return done.stdout

    def check_nothing_left(self) -> None:
        """Fail when a process of this folder still runs a second after the program ended."""
        for _ in range(20):
            left = [process.info["cmdline"] for process in self._processes()]
            if not left:
                return
            time.sleep(0.1)
        raise SmokeFailure(f"These processes were left behind: {left}.")

    def _processes(self) -> list[psutil.Process]:
        own = str(self.folder.resolve())
        found = psutil.process_iter(["exe", "cmdline", "status"])
        return [one for one in found if (one.info["exe"] or "").startswith(own + os.sep)]


def main(arguments: list[str]) -> int:
    """Run every step and return the exit status."""
    folder = used_folder(Path(arguments[0]).absolute())
    with tempfile.TemporaryDirectory(prefix="phidelity-smoke-") as temporary, screen() as display:
        installed = Installed(folder, Path(temporary) / "home", display)
        installed.home.mkdir()
        try:
            for step in (answer_in_the_window, answer_on_the_command_line, import_and_see, start_quickly):
                print(f"{step.__name__.replace('_', ' ')}: {step(installed)}", flush=True)
        except SmokeFailure as failure:
            print(f"smoke: {failure}", file=sys.stderr)
            return 1
    return 0


def used_folder(program: Path) -> Path:
    """Give the folder of the programs that a user starts: on macOS they are in the application beside the folder."""
    return programs_folder(program) if sys.platform == "darwin" else program


def answer_in_the_window(installed: Installed) -> str:
    """Load the Starter in the window, ask it something, quit."""
    answer = installed.run("phidelity", "--smoke").strip()
    if os.name != "nt" and len(answer) < 10:
        raise SmokeFailure(f"The window printed {answer!r} in place of an answer.")
    return f"{len(answer)} letters"


def answer_on_the_command_line(installed: Installed) -> str:
    """Ask the Starter without a window."""
    options = ("--prompt", "Name three fruits.", "--temperature", "0", "--max-tokens", "24", "--json")
    answer = json.loads(installed.run("phidelity-engine", "chat", "--model", "starter", *options))
    if len(answer["text"]) < 10:
        raise SmokeFailure(f"The command line answered {answer['text']!r}.")
    return f"{answer['completion_tokens']} tokens"


def import_and_see(installed: Installed) -> str:
    """Import a tiny vision checkpoint, find it in the library, take a picture in and show it to the model."""
    from tests.helpers.fixtures import DATA, unpack_checkpoint

    checkpoint = unpack_checkpoint("phi3v-tiny", installed.home)
    picture = DATA / "phi3v-tiny" / "ref" / "img0_640x480.png"
    installed.run("phidelity-engine", "import", str(checkpoint), "--quant", "q8_0", "--name", "Tiny", "--json")
    names = {model["name"] for model in json.loads(installed.run("phidelity-engine", "models", "--json"))}
    if not any("Tiny" in name for name in names):
        raise SmokeFailure(f"The imported model is not in the library, which has {sorted(names)}.")
    kept = installed.run(
        "phidelity-engine", "-m", "engine.pictures", str(picture), str(installed.home / "kept"), "a.png"
    )
    if "digest" not in kept:
        raise SmokeFailure(f"The intake answered {kept!r}.")
    options = (
        "--image",
        str(picture),
        "--prompt",
        "What is this?",
        "--max-tokens",
        "4",
        "--temperature",
        "0",
        "--json",
    )
    name = next(name for name in names if "Tiny" in name)
    seen = json.loads(installed.run("phidelity-engine", "chat", "--model", name, *options))
    if seen["prompt_tokens"] < 100:
        raise SmokeFailure("The picture is not in the prompt.")
    return f"{seen['prompt_tokens']} tokens with a picture"


def start_quickly(installed: Installed) -> str:
    """Measure the time from the start of the program to its window on the screen; the first start is not counted."""
    if shutil.which("xwininfo") is None or "DISPLAY" not in installed.environment:
        return "not measured (xwininfo is missing)"
    times = [_seconds_to_window(installed) for _ in range(START_RUNS)][1:]
    middle = statistics.median(times)
    if middle > WARM_START_SECONDS and not os.environ.get("PHIDELITY_BUSY"):
        raise SmokeFailure(f"The window took {middle:.2f} s, and {WARM_START_SECONDS} s are allowed.")
    return f"{middle:.2f} s"


def _seconds_to_window(installed: Installed) -> float:
    begun = time.perf_counter()
    process = subprocess.Popen([installed.program("phidelity")], cwd=installed.home, env=installed.environment)
    try:
        while '"Phidelity' not in _windows(installed) and '"phidelity' not in _windows(installed):
            if time.perf_counter() - begun > SECONDS or process.poll() is not None:
                raise SmokeFailure("No window appeared.")
            time.sleep(0.01)
        took = time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait(SECONDS)
    installed.check_nothing_left()
    return took


def _windows(installed: Installed) -> str:
    command = [shutil.which("xwininfo") or "xwininfo", "-root", "-tree"]
    return subprocess.run(command, env=installed.environment, capture_output=True, text=True, check=False).stdout


@contextmanager
def screen() -> Iterator[str | None]:
    """Give a virtual screen where there is an X server for it."""
    if sys.platform != "linux":
        yield None
        return
    reader, writer = os.pipe()
    # Without -noreset the server starts over when its last client leaves, and refuses the next one meanwhile.
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x800x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        with os.fdopen(reader) as answer:
            yield f":{answer.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
