"""Test the command that installs what training needs."""

import json

import pytest

from engine.__main__ import main
from engine.commands import training_environment as module
from engine.jobs.events import InstallTrainingJob
from engine.training_environment.environment import TrainingEnvironment
from tests.helpers.wheels import make_lock, make_wheel


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Let the command work with a tiny wheel in a folder of its own."""
    wheel = make_wheel(tmp_path / "wheels", "tinytorch")
    lock = make_lock(tmp_path / "lock.toml", [wheel], ["tinytorch"])
    environment = TrainingEnvironment(tmp_path / "environment")
    monkeypatch.setattr(module, "program_lock", lambda: lock)
    monkeypatch.setattr(module, "default_environment", lambda: environment)
    monkeypatch.setattr(module, "suitable_build", lambda: "cpu")
    plain = InstallTrainingJob

    def with_lock(folder, build, wheels):
        return plain(folder, build, wheels, str(lock))

    monkeypatch.setattr(module, "InstallTrainingJob", with_lock)
    return environment


def run(capsys, *arguments):
    status = main(["training-environment", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_from_nothing_to_packages_and_back(capsys, tiny, tmp_path):
    status = json.loads(run(capsys, "status", "--json")[1])
    assert (status["state"], status["downloaded_bytes"]) == ("absent", 0)
    assert status["wheels"][0]["file_name"] == "tinytorch-1.0-py3-none-any.whl"
    assert run(capsys, "install", "--wheels", tmp_path / "wheels") == (0, f"{tiny.packages}\n", "")
    assert "ready" in run(capsys, "status")[1]
    assert run(capsys, "install") == (0, f"{tiny.packages}\n", "")
    assert run(capsys, "remove") == (0, "removed\n", "")
    assert json.loads(run(capsys, "status", "--json")[1])["state"] == "absent"


def test_failures_are_one_line(capsys, tiny, tmp_path):
    status, out, errors = run(capsys, "install", "--wheels", tmp_path / "none")
    assert (status, out) == (3, "") and errors.count("\n") == 1 and "no folder none" in errors
    status, out, errors = run(capsys, "install")
    assert (status, out) == (1, "") and "there is no connection" in errors
    assert "partial" in run(capsys, "status")[1] or "absent" in run(capsys, "status")[1]
