"""Verification finds agreement where there is some, and a difference where there is one."""

import json
from pathlib import Path

import pytest

from converter.convert import convert
from engine.jobs.events import ImportJob, JobDone, JobFailed, VerifyJob
from engine.jobs.handle import start
from engine.jobs.verify_model import _sequences
from engine.library.verification_record import read_record
from tests.helpers.checkpoints import make_phi3, make_phimoe
from tests.helpers.fixtures import unpack_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "Windowed"
    return make_phi3(folder, sliding_window=60, max_position_embeddings=256)


@pytest.fixture(scope="module")
def model(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "windowed.gguf"
    job = ImportJob(str(checkpoint), str(out), "f32")
    assert isinstance(start(job, tmp_path_factory.mktemp("import")).wait(120), JobDone)
    return out


def test_faithful_model_is_verified_and_the_record_kept(checkpoint: Path, model: Path, tmp_path: Path) -> None:
    outcome = start(VerifyJob(str(model), str(checkpoint)), tmp_path / "job").wait(120)
    assert isinstance(outcome, JobDone), outcome
    record = read_record(model)
    assert record is not None
    assert [band.name for band in record.bands] == ["short", "edge of the sliding window", "beyond the sliding window"]
    assert all(band.relative_error < 1e-3 and band.same_top == 1.0 for band in record.bands)
    assert record.verified and outcome.result["verified"]
    assert (record.checkpoint, record.reference_dtype) == ("Windowed", "float32")


def test_other_weights_are_not_verified(model: Path, tmp_path: Path) -> None:
    other = make_phi3(tmp_path / "Other", sliding_window=60, max_position_embeddings=256, seed=1)
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(model.read_bytes())
    outcome = start(VerifyJob(str(copy), str(other)), tmp_path / "job").wait(120)
    assert isinstance(outcome, JobDone), outcome
    assert not outcome.result["verified"]


def test_record_of_another_file_is_void(checkpoint: Path, model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(model.read_bytes())
    assert isinstance(start(VerifyJob(str(copy), str(checkpoint), 64), tmp_path / "job").wait(120), JobDone)
    assert read_record(copy) is not None
    copy.write_bytes(model.read_bytes() + b"more")
    assert read_record(copy) is None


def test_a_mixture_without_a_tokenizer_is_compared_on_both_sides_of_its_line(tmp_path: Path) -> None:
    line = {"original_max_position_embeddings": 40, "max_position_embeddings": 200}
    checkpoint = make_phimoe(tmp_path / "Mixture", tokenizer=False, vocab_size=600, **line)
    model = convert(checkpoint, tmp_path / "mixture.gguf", outtype="f32").path
    outcome = start(VerifyJob(str(model), str(checkpoint)), tmp_path / "job").wait(120)
    assert isinstance(outcome, JobDone), outcome
    bands = {band["name"]: band for band in outcome.result["bands"]}
    assert list(bands) == ["short", "up to the LongRoPE line", "beyond the LongRoPE line"]
    assert all(band["relative_error"] < 1e-3 for band in bands.values())
    assert outcome.result["verified"] and 0 < outcome.result["near_tie_share"] < 1


def test_a_line_that_is_not_named_is_the_familys_own(checkpoint: Path, tmp_path: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    rope = {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}
    config |= {"max_position_embeddings": 131072, "sliding_window": None, "rope_parameters": rope}
    del config["original_max_position_embeddings"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert [sequence.length for sequence in _sequences(tmp_path, 0)] == [256, 4096, 4160]


def test_phi_3_small_is_exact_beyond_its_local_blocks(tmp_path: Path) -> None:
    checkpoint = unpack_checkpoint("phi3small-tiny", tmp_path)
    model = convert(checkpoint, tmp_path / "small.gguf", outtype="f32").path
    outcome = start(VerifyJob(str(model), str(checkpoint)), tmp_path / "job").wait(120)
    assert isinstance(outcome, JobDone) and outcome.result["verified"], outcome
    bands = {band["name"]: band for band in outcome.result["bands"]}
    assert list(bands) == ["short", "edge of the local blocks", "beyond the local blocks"]
    assert all(band["relative_error"] < 1e-4 for band in bands.values())
    assert outcome.result["clamp_share"] > 0


def test_missing_checkpoint_is_one_sentence(model: Path, tmp_path: Path) -> None:
    outcome = start(VerifyJob(str(model), str(tmp_path / "none")), tmp_path / "job").wait(60)
    assert isinstance(outcome, JobFailed)
    assert (outcome.code, outcome.message) == ("model_invalid", "none holds no usable config.json.")


def test_a_vision_models_language_model_has_a_reference(vision_model, vision_checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "eyes.gguf"
    copy.write_bytes(vision_model.path.read_bytes())
    outcome = start(VerifyJob(str(copy), str(vision_checkpoint), 64), tmp_path / "job").wait(120)
    assert isinstance(outcome, JobDone) and outcome.result["verified"], outcome
