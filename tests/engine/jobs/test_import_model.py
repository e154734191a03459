"""Importing and quantising through the real job process."""

import pickle
import threading
from pathlib import Path

import pytest

from converter.gguf_file import read_header
from converter.lora import convert_lora
from engine.jobs.events import ImportJob, Job, JobDone, JobFailed, JobProgress, QuantizeJob
from engine.jobs.handle import STOP_FILE, start
from engine.library.scanner import read_card
from tests.helpers.adapters import make_adapter
from tests.helpers.checkpoints import make_phi3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "Tiny-Phi"
    return make_phi3(folder, hidden_size=256, intermediate_size=512)


def finish(job: Job, folder: Path) -> JobDone | JobFailed:
    return start(job, folder).wait(120)


def test_checkpoint_becomes_a_quantised_model(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "models" / "tiny.gguf"
    outcome = finish(ImportJob(str(checkpoint), str(out)), tmp_path / "job")
    assert isinstance(outcome, JobDone), outcome
    card = read_card(out)
    assert (card.quantization, card.problem) == ("Q4_K_M", None)
    assert outcome.result["size_bytes"] == card.size_bytes
    assert list(out.parent.iterdir()) == [out]


def test_one_file_of_a_checkpoint_stands_for_its_folder(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.gguf"
    job = ImportJob(str(checkpoint / "model.safetensors"), str(out), "f16", "My model")
    assert isinstance(finish(job, tmp_path / "job"), JobDone)
    assert read_card(out).name.startswith("My model")


def test_quantising_equals_importing_quantised(checkpoint: Path, tmp_path: Path) -> None:
    unquantised, ours, theirs = (tmp_path / name for name in ("f32.gguf", "ours.gguf", "theirs.gguf"))
    assert isinstance(finish(ImportJob(str(checkpoint), str(unquantised), "f32"), tmp_path / "a"), JobDone)
    assert isinstance(finish(ImportJob(str(checkpoint), str(ours), "q4_k_m"), tmp_path / "b"), JobDone)
    outcome = finish(QuantizeJob(str(unquantised), str(theirs), "q4_k_m"), tmp_path / "c")
    assert isinstance(outcome, JobDone), outcome
    a, b = read_header(ours), read_header(theirs)
    assert {name: tensor.type for name, tensor in a.tensors.items()} == {
        name: tensor.type for name, tensor in b.tensors.items()
    }
    with open(ours, "rb") as ours_file, open(theirs, "rb") as theirs_file:
        for name, tensor in a.tensors.items():
            ours_file.seek(tensor.offset)
            theirs_file.seek(b.tensors[name].offset)
            assert ours_file.read(tensor.nbytes) == theirs_file.read(tensor.nbytes), name


def test_quantised_file_is_not_quantised_again(checkpoint: Path, tmp_path: Path) -> None:
    quantised = tmp_path / "q8.gguf"
    assert isinstance(finish(ImportJob(str(checkpoint), str(quantised), "q8_0"), tmp_path / "a"), JobDone)
    outcome = finish(QuantizeJob(str(quantised), str(tmp_path / "q4.gguf"), "q4_0"), tmp_path / "b")
    assert isinstance(outcome, JobFailed)
    assert "already quantised" in outcome.message
    assert not (tmp_path / "q4.gguf").exists()


def test_an_adapter_is_copied_but_not_quantised(checkpoint: Path, tmp_path: Path) -> None:
    adapter = convert_lora(make_adapter(tmp_path / "bot", checkpoint), checkpoint, tmp_path / "bot.gguf").path
    copy = tmp_path / "library" / "bot.gguf"
    assert isinstance(finish(ImportJob(str(adapter), str(copy)), tmp_path / "a"), JobDone)
    assert copy.read_bytes() == adapter.read_bytes()
    outcome = finish(QuantizeJob(str(adapter), str(tmp_path / "q8.gguf"), "q8_0"), tmp_path / "b")
    assert isinstance(outcome, JobFailed)
    assert "is an adapter" in outcome.message


def test_gguf_is_copied_and_its_name_kept(checkpoint: Path, tmp_path: Path) -> None:
    source, copy = tmp_path / "q8.gguf", tmp_path / "library" / "copy.gguf"
    assert isinstance(finish(ImportJob(str(checkpoint), str(source), "q8_0"), tmp_path / "a"), JobDone)
    assert isinstance(finish(ImportJob(str(source), str(copy)), tmp_path / "b"), JobDone)
    assert copy.read_bytes() == source.read_bytes()


def test_existing_model_is_never_overwritten(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.gguf"
    out.write_text("precious")
    outcome = finish(ImportJob(str(checkpoint), str(out)), tmp_path / "job")
    assert isinstance(outcome, JobFailed)
    assert "already" in outcome.message
    assert out.read_text() == "precious"


def test_pickle_checkpoint_is_refused_with_the_reason(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    outcome = finish(ImportJob(str(folder), str(tmp_path / "out.gguf")), tmp_path / "job")
    assert isinstance(outcome, JobFailed)
    assert "safetensors" in f"{outcome.message} {outcome.remedy}"
    assert not (tmp_path / "out.gguf").exists()


def test_cancelled_import_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    handle = start(ImportJob(str(checkpoint), str(tmp_path / "models" / "out.gguf")), folder)
    (folder / STOP_FILE).touch()
    outcome = handle.wait(60)
    assert isinstance(outcome, JobFailed)
    assert outcome.code == "cancelled"
    assert list((tmp_path / "models").iterdir()) == []


def test_progress_counts_tensors(checkpoint: Path, tmp_path: Path) -> None:
    handle = start(ImportJob(str(checkpoint), str(tmp_path / "out.gguf"), "f32"), tmp_path / "job")
    events = []
    pause = threading.Event()
    while not handle.finished:
        events += handle.poll()
        pause.wait(0.02)
    counts = [event for event in events if isinstance(event, JobProgress)]
    assert counts[-1].done == counts[-1].total == len(read_header(tmp_path / "out.gguf").tensors)
    assert isinstance(events[-1], JobDone)


def test_a_vision_checkpoint_becomes_a_model_with_its_companion(vision_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "models" / "eyes.gguf"
    assert isinstance(finish(ImportJob(str(vision_checkpoint), str(out), "q8_0"), tmp_path / "job"), JobDone)
    companion = out.with_name("eyes.mmproj.gguf")
    assert sorted(out.parent.iterdir()) == [out, companion]
    copied = tmp_path / "copies" / "again.gguf"
    assert isinstance(finish(ImportJob(str(out), str(copied)), tmp_path / "copy"), JobDone)
    assert copied.with_name("again.mmproj.gguf").read_bytes() == companion.read_bytes()


def test_a_failed_copy_leaves_no_companion(vision_model, tmp_path: Path) -> None:
    out = tmp_path / "quantised.gguf"
    outcome = finish(QuantizeJob(str(vision_model.path), str(out), "q4_k_m", str(tmp_path / "none")), tmp_path / "a")
    assert isinstance(outcome, JobFailed) and not out.with_name("quantised.mmproj.gguf").exists()
    outcome = finish(QuantizeJob(str(vision_model.path), str(out), "q8_0"), tmp_path / "b")
    assert isinstance(outcome, JobDone) and out.with_name("quantised.mmproj.gguf").is_file()
