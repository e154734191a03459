"""Check which packages a process of training gets."""

import subprocess
import sys

from engine.launch import child_environment, python_command, training_command
from engine.training_environment import enter as module
from engine.training_environment.environment import use, use_ready
from engine.training_environment.install import install


def ready(packages):
    install(packages.environment, packages.selection(), packages.wheels, lambda _: None, lambda: False)
    return packages.environment


def prepare(packages, monkeypatch, torch):
    environment = ready(packages)
    monkeypatch.setattr(module, "default_environment", lambda: environment)
    monkeypatch.setattr(module, "program_lock", lambda: packages.lock)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: torch)
    monkeypatch.setattr(sys, "path", ["before"])
    module.enter()
    return sys.path


def test_ready_packages_come_before_everything_else(packages, monkeypatch):
    assert prepare(packages, monkeypatch, None) == [str(packages.environment.packages), "before"]


def test_a_pytorch_of_ones_own_is_preferred(packages, monkeypatch):
    assert prepare(packages, monkeypatch, "found") == ["before"]


def test_packages_of_another_version_are_not_used(packages, monkeypatch):
    ready(packages)
    packages.lock.write_text(packages.lock.read_text() + "\n")
    monkeypatch.setattr(module, "default_environment", lambda: packages.environment)
    monkeypatch.setattr(module, "program_lock", lambda: packages.lock)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "path", ["before"])
    module.enter()
    assert sys.path == ["before"]


def test_the_worker_takes_only_what_the_program_lacks(packages, monkeypatch):
    monkeypatch.setattr(sys, "path", ["before"])
    assert not use_ready(packages.environment, packages.lock, first=False)
    environment = ready(packages)
    assert use_ready(environment, packages.lock, first=False)
    assert sys.path == ["before", str(environment.packages)]


def test_a_job_runs_through_it(tmp_path):
    command = training_command("engine.jobs", str(tmp_path))
    assert command == python_command("engine.training_environment.enter", "engine.jobs", str(tmp_path))
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "bad_request" in (tmp_path / "events.jsonl").read_text()


def test_no_other_module_is_run():
    command = training_command("os")
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "usage" in done.stderr


def test_modules_are_found_in_the_packages(packages, monkeypatch):
    environment = ready(packages)
    monkeypatch.setattr(sys, "path", list(sys.path))
    use(environment.packages)
    import tinytorch_more

    assert tinytorch_more.MORE == 2
