"""The library lists what is on disk, and says what is wrong with a file instead of failing."""

import json
import shutil
from pathlib import Path

import gguf
import numpy as np

from converter.convert import ConversionResult
from engine.library.folders import file_name_for
from engine.library.scanner import add_reference, read_card, scan


def write_gguf(path: Path, name: str = "Tiny") -> Path:
    path.parent.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(path, "phi3")
    writer.add_name(name)
    writer.add_context_length(4096)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_feed_forward_length(128)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tensor("token_embd.weight", np.zeros((100, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_card_holds_what_the_header_says(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    card = read_card(path)
    assert (card.name, card.architecture, card.quantization) == ("Tiny", "phi3", "Q8_0")
    assert (card.parameters, card.context_train, card.size_bytes) == (6400, 4096, path.stat().st_size)
    kv_cache = 2 * 2 * 4096 * 2 * 16 * 2  # K and V, layers, tokens, kv heads, head size, bytes
    assert card.memory_bytes > card.size_bytes + kv_cache
    assert card.problem is None and not card.built_in


def test_damaged_file_is_listed_with_its_problem(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "whole.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[:-100])
    (tmp_path / "empty.gguf").touch()
    cards = {card.path.name: card for card in scan([tmp_path])}
    assert cards["whole.gguf"].problem is None
    assert "cut off" in (cards["cut.gguf"].problem or "")
    assert "empty" in (cards["empty.gguf"].problem or "")


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", "Before")
    assert read_card(path).name == "Before"
    write_gguf(path, "After, with a longer name")
    assert read_card(path).name == "After, with a longer name"


def test_reference_makes_a_model_of_a_file_elsewhere(tmp_path: Path) -> None:
    elsewhere = write_gguf(tmp_path / "elsewhere.gguf")
    models = tmp_path / "models"
    reference = add_reference(models, elsewhere)
    (card,) = scan([models])
    assert (card.path, card.reference, card.name) == (elsewhere, reference, "Tiny")
    elsewhere.unlink()
    (card,) = scan([models])
    assert "moved or deleted" in (card.problem or "")


def test_references_to_files_of_the_same_name_live_together(tmp_path: Path) -> None:
    models = tmp_path / "models"
    targets = [write_gguf(tmp_path / folder / "same.gguf", folder) for folder in "ab"]
    references = {add_reference(models, target) for target in [*targets, *targets]}
    assert len(references) == 2
    assert [card.name for card in scan([models])] == ["a", "b"]


def test_damaged_reference_is_listed_with_its_problem(tmp_path: Path) -> None:
    (tmp_path / "broken.reference.json").write_text(json.dumps([1, 2]))
    (card,) = scan([tmp_path])
    assert card.name == "broken" and card.problem


def test_companions_and_later_shards_are_no_models(tmp_path: Path) -> None:
    write_gguf(tmp_path / "vision.gguf")
    write_gguf(tmp_path / "vision.mmproj.gguf")
    first = write_gguf(tmp_path / "big-00001-of-00002.gguf")
    second = write_gguf(tmp_path / "big-00002-of-00002.gguf")
    cards = {card.path.name: card for card in scan([tmp_path])}
    assert sorted(cards) == ["big-00001-of-00002.gguf", "vision.gguf"]
    assert cards["big-00001-of-00002.gguf"].size_bytes == first.stat().st_size + second.stat().st_size


def test_a_vision_model_is_one_card_for_both_files(vision_model: ConversionResult, tmp_path: Path) -> None:
    path = tmp_path / "phi.gguf"
    shutil.copy(vision_model.path, path)
    alone = read_card(path)
    assert alone.companion is None and not alone.has_vision
    beside = tmp_path / "phi.mmproj.gguf"
    assert vision_model.companion is not None
    shutil.copy(vision_model.companion, beside)
    (card,) = scan([tmp_path])
    assert card.has_vision and (card.path, card.companion) == (path, beside)
    assert card.size_bytes == path.stat().st_size + beside.stat().st_size
    assert card.memory_bytes == alone.memory_bytes + beside.stat().st_size
    beside.unlink()
    assert read_card(path) == alone


def test_a_vision_model_used_where_it_lies_has_its_companion_there(
    vision_model: ConversionResult, tmp_path: Path
) -> None:
    add_reference(tmp_path, vision_model.path)
    (card,) = scan([tmp_path])
    assert card.companion == vision_model.companion


def test_a_companion_of_another_family_or_a_broken_one_gives_no_eyes(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "phi.gguf")
    write_gguf(tmp_path / "phi.mmproj.gguf", "Tower")
    assert read_card(path).companion is None
    (tmp_path / "phi.mmproj.gguf").write_bytes(b"GGUF")
    assert read_card(path).companion is None


def test_missing_folder_is_empty(tmp_path: Path) -> None:
    assert scan([tmp_path / "none"]) == []


def test_file_names_of_imports(tmp_path: Path) -> None:
    assert file_name_for(tmp_path, "Phi 3: mini/4k", "q4_0") == "Phi 3- mini-4k-Q4_0.gguf"
    assert file_name_for(tmp_path, None, None) == f"{tmp_path.name}-Q4_K_M.gguf"
    assert file_name_for(Path("a/model.gguf"), None, None) == "model.gguf"
    assert file_name_for(Path("a/model.gguf"), "...", "q8_0") == "model-Q8_0.gguf"
