"""Check what chat and library get of a run."""

from pathlib import Path

import pytest

from app.training.results import adapter_in_library, base_folder, export_path, export_source, model_for
from engine.errors import EngineError
from engine.jobs.events import JobDone
from engine.library.adapter_card import tuned_companion
from engine.library.folders import starter_path
from tests.app.training.conftest import MakeRun


def test_the_starter_is_known_without_looking(make_run: MakeRun) -> None:
    assert model_for(make_run(), []) == starter_path()


def test_an_adapter_is_copied_once(make_run: MakeRun, tmp_path: Path) -> None:
    made = tmp_path / "made.gguf"
    made.write_bytes(b"adapter")
    run = make_run([JobDone({"adapter": str(made)})])
    copy = adapter_in_library(run, tmp_path / "models")
    assert copy == tmp_path / "models" / "Support tone.lora.gguf"
    assert copy.read_bytes() == b"adapter"
    before = copy.stat().st_mtime_ns
    assert adapter_in_library(run, tmp_path / "models").stat().st_mtime_ns == before
    made.write_bytes(b"another adapter")
    assert adapter_in_library(run, tmp_path / "models").read_bytes() == b"another adapter"


def test_an_adapter_that_sees_is_copied_with_its_picture_part(make_run: MakeRun, tmp_path: Path) -> None:
    made, companion = tmp_path / "made.lora.gguf", tmp_path / "made.mmproj.gguf"
    made.write_bytes(b"adapter")
    companion.write_bytes(b"companion")
    run = make_run([JobDone({"seeing_adapter": str(made), "companion": str(companion)})])
    copy = adapter_in_library(run, tmp_path / "models")
    assert copy.read_bytes() == b"adapter"
    beside = tuned_companion(copy)
    assert beside is not None and beside.read_bytes() == b"companion"
    companion.unlink()
    with pytest.raises(EngineError) as caught:  # one without the other is another model
        adapter_in_library(run, tmp_path / "models")
    assert caught.value.code == "model_not_found"


def test_an_adapter_that_is_gone_is_told(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        adapter_in_library(make_run([JobDone({"adapter": str(tmp_path / "none")})]), tmp_path)
    assert caught.value.code == "model_not_found"


def test_an_adapter_is_merged_into_its_base_and_a_whole_model_stands_alone(make_run: MakeRun, tmp_path: Path) -> None:
    base, result = tmp_path / "base", tmp_path / "result"
    base.mkdir()
    result.mkdir()
    done = [JobDone({"path": str(result)})]
    adapter = make_run(done)
    adapter.job = type(adapter.job)(str(base), "data.jsonl")
    assert base_folder(adapter) == base
    assert export_source(adapter) == (base, result)
    assert export_source(make_run(done, method="full")) == (result, None)
    with pytest.raises(EngineError):
        export_source(make_run([JobDone({"path": str(tmp_path / "gone")})]))


def test_exports_replace_nothing(tmp_path: Path) -> None:
    first = export_path(tmp_path, tmp_path, "Support tone", "q8_0")
    assert first.name == "Support tone-Q8_0.gguf"
    first.touch()
    assert export_path(tmp_path, tmp_path, "Support tone", "q8_0").name == "Support tone 2-Q8_0.gguf"
