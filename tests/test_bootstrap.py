"""Test the set-up with a real environment and a wheel that stands for llama.cpp's."""

import json
import subprocess
import zipfile

import pytest

import bootstrap
from bootstrap import Environment, llama_wheel, main, split_gpu
from llama_builds import GPU_BUILDS, NATIVE

VULKAN = GPU_BUILDS["vulkan"]


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Give a cache of its own that has the wheels of two builds, each with the build's name inside."""
    monkeypatch.setenv("PHIDELITY_CACHE", str(tmp_path / "cache"))
    for build in (NATIVE, VULKAN):
        folder = bootstrap.wheel_folder(build)
        folder.mkdir(parents=True)
        _write_wheel(folder / "llama_cpp_python-1.0-py3-none-any.whl", build.name)
    return tmp_path / "cache"


def _write_wheel(path, built):
    info = "llama_cpp_python-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("llama_cpp.py", f"BUILT = {built!r}\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llama-cpp-python\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_the_build_for_a_gpu_is_named_as_an_argument_or_in_the_environment(monkeypatch):
    monkeypatch.delenv("GPU", raising=False)
    assert split_gpu(["run", "GPU=vulkan", "--theme", "dark"]) == ("vulkan", ["run", "--theme", "dark"])
    assert split_gpu(["run"]) == ("", ["run"])
    monkeypatch.setenv("GPU", "cuda")
    assert split_gpu(["run"]) == ("cuda", ["run"])


def test_an_unknown_gpu_ends_with_one_line(capsys):
    assert main(["run", "GPU=voodoo"]) == 1
    assert capsys.readouterr().err == "phidelity: GPU=voodoo is not known; it can be vulkan, cuda, metal or rocm.\n"


def test_the_wheel_of_the_asked_build_is_taken_from_the_cache(cache, tmp_path):
    wheel = llama_wheel(Environment(tmp_path / "venv"), "llama-cpp-python==1.0", VULKAN)
    assert wheel.parent == bootstrap.wheel_folder(VULKAN)


def test_a_build_is_compiled_anew_whatever_pip_has_kept(cache, monkeypatch, tmp_path):
    commands = []

    def compiled(_log, command, variables):
        commands.append((command, variables))
        _write_wheel(command[command.index("-w") + 1] / "llama_cpp_python-2.0-py3-none-any.whl", "anew")

    monkeypatch.setattr(bootstrap, "wheel_folder", lambda build: tmp_path / "wheels" / build.name)
    monkeypatch.setattr(bootstrap, "logged", compiled)
    wheel = llama_wheel(Environment(tmp_path / "venv"), "llama-cpp-python==2.0", VULKAN)
    ((command, variables),) = commands
    assert wheel == tmp_path / "wheels" / "vulkan" / "llama_cpp_python-2.0-py3-none-any.whl"
    assert "--no-cache-dir" in command and "GGML_VULKAN=ON" in variables["CMAKE_ARGS"]


def test_missing_packages_are_named_to_who_may_not_install_them(cache, monkeypatch):
    monkeypatch.setattr(bootstrap, "missing_system_packages", lambda *_: ["glslc", "libvulkan-dev"])
    monkeypatch.setattr(bootstrap, "may_install_packages", lambda: False)
    with pytest.raises(bootstrap.SetupError, match="glslc libvulkan-dev"):
        bootstrap.install_system_packages(VULKAN, packaging=False)


def test_another_build_replaces_llama_cpp_and_nothing_else(cache, monkeypatch, tmp_path):
    lock = tmp_path / "app.lock"
    lock.write_text("llama-cpp-python==1.0\n")
    monkeypatch.setattr(bootstrap, "LOCKS", {"run": str(lock)})
    monkeypatch.setattr(bootstrap, "missing_system_packages", lambda *_: [])
    monkeypatch.setattr(bootstrap, "STARTER", lock)
    for build in (NATIVE, VULKAN):
        # The pinned version of the lock has changed, and with it the place in the cache.
        folder = bootstrap.wheel_folder(build)
        folder.mkdir(parents=True, exist_ok=True)
        _write_wheel(folder / "llama_cpp_python-1.0-py3-none-any.whl", build.name)
    environment = Environment(tmp_path / "venv")
    bootstrap.set_up(environment, "run", NATIVE)
    kept = environment.folder / "kept"
    kept.touch()

    bootstrap.set_up(environment, "run", VULKAN)

    shown = subprocess.check_output([environment.python, "-c", "import llama_cpp; print(llama_cpp.BUILT)"], text=True)
    assert shown.strip() == "vulkan"
    assert kept.exists()
    assert json.loads(environment.stamp.read_text())["llama"] == VULKAN.key()
    bootstrap.wheel_folder(VULKAN).joinpath("llama_cpp_python-1.0-py3-none-any.whl").unlink()
    bootstrap.set_up(environment, "run", VULKAN)  # nothing is left to do, so the wheel is not missed
