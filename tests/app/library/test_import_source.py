"""Check what is known of a checkpoint or file before it is imported."""

import json
import shutil
from pathlib import Path

import pytest

from app.library.import_source import AS_IT_IS, inspect
from app.library.quantizations import QUANTIZATIONS, explanation
from converter.convert import convert
from converter.errors import ConversionError
from converter.gguf_file import read_header
from converter.lora import convert_lora
from engine.library.scanner import read_card
from tests.helpers.adapters import make_adapter


def test_estimates_of_a_checkpoint_are_those_of_the_file_it_becomes(checkpoint: Path, gguf_file: Path) -> None:
    source = inspect(checkpoint)
    assert (source.kind, source.name, source.path) == ("checkpoint", "Phi-tiny", checkpoint)
    assert list(source.estimates) == list(QUANTIZATIONS)
    made = convert(checkpoint, gguf_file.with_name("tiny-bf16.gguf"), outtype="bf16").path
    header_bytes = 4_000_000
    assert 0 <= made.stat().st_size - source.estimates["bf16"].size_bytes < header_bytes
    assert abs(read_card(made).memory_bytes - source.estimates["bf16"].memory_bytes) < header_bytes
    sizes = {name: estimate.size_bytes for name, estimate in source.estimates.items()}
    assert sizes["q4_k_m"] < sizes["q5_k_m"] < sizes["q6_k"] < sizes["q8_0"] < sizes["bf16"]


def test_a_weights_file_stands_for_its_folder(checkpoint: Path) -> None:
    assert inspect(checkpoint / "model.safetensors").path == checkpoint


def test_a_snapshot_of_the_hub_is_named_after_its_repository(checkpoint: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--microsoft--Phi-3.5-mini-instruct" / "snapshots" / "af01"
    shutil.copytree(checkpoint, snapshot)
    assert inspect(snapshot).name == "Phi-3.5-mini-instruct"


def test_an_unquantised_gguf_can_be_made_smaller(gguf_file: Path) -> None:
    source = inspect(gguf_file)
    assert (source.kind, source.name, source.quantization) == ("gguf", "Tiny Phi-3", "F16")
    assert source.estimates[AS_IT_IS].size_bytes == gguf_file.stat().st_size
    assert "q4_k_m" in source.estimates
    assert "bf16" not in source.estimates


def test_an_adapter_is_taken_as_it_is(checkpoint: Path, tmp_path: Path) -> None:
    adapter = convert_lora(make_adapter(tmp_path / "bot", checkpoint), checkpoint, tmp_path / "bot.gguf").path
    assert list(inspect(adapter).estimates) == [AS_IT_IS]


def test_a_quantised_gguf_is_taken_as_it_is(checkpoint: Path, tmp_path: Path) -> None:
    path = convert(checkpoint, tmp_path / "small.gguf", outtype="q8_0").path
    assert list(inspect(path).estimates) == [AS_IT_IS]


def spoiled(kind: str, checkpoint: Path, folder: Path) -> Path:
    """Make something that cannot be imported."""
    if kind == "pickle":
        folder.mkdir()
        shutil.copy(checkpoint / "config.json", folder)
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
        return folder
    if kind == "llama":
        shutil.copytree(checkpoint, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "llama"}))
        return folder
    if kind == "lists":
        shutil.copytree(checkpoint, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "model_type": ["phi3"]}))
        return folder
    path = folder.with_suffix({"text": ".txt", "empty": ".gguf", "cut": ".gguf"}[kind])
    path.write_bytes({"text": b"hello", "empty": b"", "cut": b"GGUF\x03\x00\x00\x00"}[kind])
    return path


@pytest.mark.parametrize("kind", ["pickle", "llama", "lists", "text", "empty", "cut"])
def test_what_cannot_be_imported_is_refused_with_a_way_out(kind: str, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as caught:
        inspect(spoiled(kind, checkpoint, tmp_path / "source"))
    assert caught.value.message.endswith(".")
    assert caught.value.remedy


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError):
        inspect(tmp_path / "none")


def test_every_quantisation_is_explained() -> None:
    assert len({explanation(name) for name in QUANTIZATIONS}) == len(QUANTIZATIONS)


def test_estimates_of_a_vision_model_count_its_companion(vision_checkpoint: Path, tmp_path: Path) -> None:
    source = inspect(vision_checkpoint)
    made = convert(vision_checkpoint, tmp_path / "tiny-bf16.gguf", outtype="bf16").path
    card = read_card(made)
    assert card.has_vision
    header_bytes = 4_000_000
    estimate = source.estimates["bf16"]
    assert 0 <= card.size_bytes - estimate.size_bytes < header_bytes
    assert abs(card.memory_bytes - estimate.memory_bytes) < header_bytes
    assert card.companion is not None
    weights = sum(tensor.nbytes for tensor in read_header(made).tensors.values())
    assert abs(estimate.size_bytes - weights - card.companion.stat().st_size) < 1000
    assert inspect(made).estimates[AS_IT_IS].size_bytes == card.size_bytes
