"""Test how the product's processes are started, from the sources and from the installed program."""

import os
import subprocess
import sys

from engine.launch import child_environment, python_command, restore_library_path, training_command


def test_the_sources_start_this_python():
    assert python_command("engine.worker", "x") == [sys.executable, "-m", "engine.worker", "x"]


def test_the_installed_program_starts_the_console_program_beside_it(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "phidelity"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert python_command("engine.jobs", "x") == [str(tmp_path / "phidelity-engine"), "-m", "engine.jobs", "x"]
    assert "PYTHONPATH" not in child_environment()
    assert training_command("engine.jobs", "x")[1:] == ["-m", "engine.training_environment.enter", "engine.jobs", "x"]


def test_the_console_program_runs_commands_and_no_other_modules():
    command = [sys.executable, "-m", "engine.frozen"]
    assert subprocess.check_output([*command, "--version"], text=True).startswith("Phidelity ")
    refused = subprocess.run([*command, "-m", "os"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "no module called 'os'" in refused.stderr


def test_what_the_installed_program_starts_does_not_get_its_libraries(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/lib/phidelity/_internal")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/opt/lib")
    monkeypatch.setenv("PYINSTALLER_RESET_ENVIRONMENT", "")
    restore_library_path()
    assert os.environ["LD_LIBRARY_PATH"] == "/opt/lib"
    assert "LD_LIBRARY_PATH_ORIG" not in os.environ
    assert os.environ["PYINSTALLER_RESET_ENVIRONMENT"] == "1"
    restore_library_path()
    assert "LD_LIBRARY_PATH" not in os.environ


def test_the_sources_leave_the_environment_alone(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    restore_library_path()
    assert os.environ["LD_LIBRARY_PATH"] == "/opt/lib"
