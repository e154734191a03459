"""Check what a report about a fault says, with real workers and models."""

import importlib.metadata
import json

from engine.__main__ import main
from engine.errors import EngineError
from engine.version import VERSION


def run(capsys, *arguments):
    """Run the command in this process; give its status and output."""
    status = main(["doctor", *(str(argument) for argument in arguments)])
    captured = capsys.readouterr()
    assert captured.err == ""
    return status, captured.out


def test_it_names_versions_and_devices(capsys, tmp_path):
    status, output = run(capsys, "--models-dir", tmp_path)
    assert status == 0
    lines = dict(line.split(maxsplit=1) for line in output.splitlines())
    assert lines["Phidelity"] == f"{VERSION}, from its sources"
    assert lines["llama-cpp-python"] == importlib.metadata.version("llama-cpp-python")
    assert "CPU" in lines


def test_a_model_that_loads_is_no_fault(capsys, tiny):
    status, output = run(capsys, tiny[1], "--json")
    found = json.loads(output)
    assert (status, found["faults"]) == (0, [])
    assert found["phidelity"] == VERSION
    assert found["devices"][0]["kind"] == "cpu"
    assert found["runs_on"]


def test_a_file_that_cannot_be_read_is_a_fault(capsys, tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and nothing else")
    status, output = run(capsys, tmp_path / "broken.gguf", "--models-dir", tmp_path, "--json")
    faults = json.loads(output)["faults"]
    assert status == 1
    assert [fault.split(":")[0] for fault in faults] == ["broken.gguf", "model_invalid"]


def test_a_worker_that_does_not_start_is_a_fault(capsys, tmp_path, monkeypatch):
    def refuse():
        raise EngineError("worker_unavailable", "The engine could not be started.", None)

    monkeypatch.setattr("engine.commands.doctor.EngineClient", refuse)
    status, output = run(capsys, "--models-dir", tmp_path)
    assert status == 1
    assert output.splitlines()[-1].split(maxsplit=1) == ["Fault", "The engine could not be started."]


def test_an_unknown_model_is_told_in_one_line(capsys):
    assert main(["doctor", "no-such-model"]) == 3
    assert "no-such-model" in capsys.readouterr().err
