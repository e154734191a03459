"""Test that crashes on a GPU are remembered, and for how long."""

import json
import subprocess
import sys

import pytest

from engine import gpu_record
from engine.gpu_drivers import driver_fingerprint
from engine.gpu_record import GpuRecord
from engine.launch import child_environment

ATTEMPT = """
import os, sys, time
from pathlib import Path
from engine.gpu_record import GpuRecord
with GpuRecord(Path(sys.argv[1])).attempt(sys.argv[2:]):
    print("now", flush=True)
    sys.stdin.readline()
    os._exit(1)
"""


@pytest.fixture
def record(tmp_path):
    return GpuRecord(tmp_path / "gpu")


@pytest.fixture
def attempt(tmp_path):
    """Start a process that uses devices until it is let die."""
    processes = []

    def start(*devices):
        command = [sys.executable, "-c", ATTEMPT, str(tmp_path / "gpu"), *devices]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=child_environment())
        processes.append(process)
        assert process.stdout.readline().strip() == b"now"
        return process

    yield start
    for process in processes:
        end(process)


def end(process):
    if process.poll() is None:
        process.communicate(b"\n")


def crash(attempt, *devices):
    process = attempt(*devices)
    end(process)
    return process.pid


def test_what_ends_well_leaves_no_mark(record, tmp_path):
    with record.attempt(["A"]):
        assert len(list((tmp_path / "gpu").iterdir())) == 1
    with pytest.raises(ValueError), record.attempt(["A"]):
        raise ValueError
    assert list((tmp_path / "gpu").iterdir()) == []
    assert not record.crashed(["A"])


def test_a_crash_counts_for_its_devices_only(record, attempt):
    crash(attempt, "A", "B")
    assert record.crashed(["B", "C"])
    assert not record.crashed(["C"])
    assert not record.crashed()
    record.forget()
    assert not record.crashed(["B"])


def test_a_crash_while_looking_for_devices_counts_for_all(record, attempt):
    crash(attempt)
    assert record.crashed()
    assert record.crashed(["A"])


def test_a_process_that_is_alive_has_not_crashed(record, attempt):
    attempt("A")
    assert not record.crashed(["A"])
    record.forget()


def test_a_process_that_was_ended_on_purpose_does_not_count(record, attempt):
    record.withdraw(crash(attempt, "A"))
    assert not record.crashed(["A"])
    record.withdraw(1)


def test_another_driver_gets_another_chance(record, attempt, monkeypatch, tmp_path):
    crash(attempt, "A")
    monkeypatch.setattr(gpu_record, "driver_fingerprint", lambda: "another")
    assert not record.crashed(["A"])
    assert list((tmp_path / "gpu").iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"started": "x"}', '{"started": null}', "\xff", json.dumps({"started": [1]})]
)
def test_damaged_marks_are_taken_away(record, tmp_path, text):
    folder = tmp_path / "gpu"
    folder.mkdir()
    (folder / "attempt-999999.json").write_bytes(text.encode("latin-1"))
    (folder / "attempt-x.json").write_text('{"started": 1, "drivers": "", "devices": []}')
    assert not record.crashed(["A"])
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    record = GpuRecord(tmp_path / "file" / "gpu")
    with record.attempt(["A"]):
        pass
    assert not record.crashed(["A"])


@pytest.mark.skipif(sys.platform != "linux", reason="there the places of drivers are files")
def test_the_fingerprint_follows_the_drivers(monkeypatch, tmp_path):
    manifest = tmp_path / "driver.json"
    manifest.write_text("{}")
    before = driver_fingerprint()
    monkeypatch.setenv("VK_ADD_DRIVER_FILES", str(manifest))
    added = driver_fingerprint()
    manifest.write_text('{"new": 1}')
    assert len({before, added, driver_fingerprint()}) == 3
    assert driver_fingerprint() == driver_fingerprint()
