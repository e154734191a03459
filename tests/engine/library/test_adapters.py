"""The library knows the adapters on disk, and which model each belongs to."""

from pathlib import Path

import pytest

from converter.convert import convert
from converter.lora import convert_lora
from engine.library.adapter_card import AdapterCard
from engine.library.adapters import adapters_for, scan_adapters
from engine.library.scanner import read_card, scan
from tests.helpers.adapters import make_adapter


@pytest.fixture(scope="module")
def library(tiny: tuple[Path, Path], windowed: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill a folder with a model, its adapter, an adapter of another layout, and a damaged file."""
    folder = tmp_path_factory.mktemp("library")
    models = folder / "models"
    (models / "below").mkdir(parents=True)
    convert(tiny[0], models / "tiny.gguf", outtype="q8_0")
    for checkpoint, name, place in ((tiny[0], "Support bot", models), (windowed[0], "Other bot", models / "below")):
        convert_lora(make_adapter(folder / name, checkpoint), checkpoint, place / f"{name}.gguf")
    (models / "cut.gguf").write_bytes((models / "Support bot.gguf").read_bytes()[:-100])
    return models


def test_adapters_are_found_with_what_they_belong_to(library: Path) -> None:
    path = library / "Support bot.gguf"
    assert scan_adapters([library]) == [
        AdapterCard(
            "Other bot",
            library / "below" / "Other bot.gguf",
            (library / "below" / "Other bot.gguf").stat().st_size,
            "granite_swa",
            "windowed",
            4,
        ),
        AdapterCard("Support bot", path, path.stat().st_size, "phi3", "tiny", 4),
    ]


def test_adapters_are_no_models(library: Path) -> None:
    assert [card.path.name for card in scan([library])] == ["cut.gguf", "tiny.gguf"]
    card = read_card(library / "Support bot.gguf")
    assert card.is_adapter and card.name == "Support bot"
    assert "adapter" in (card.problem or "")


def test_a_model_is_offered_the_adapters_that_fit(library: Path, windowed: tuple[Path, Path]) -> None:
    assert [card.name for card in adapters_for(library / "tiny.gguf", [library])] == ["Support bot"]
    assert [card.name for card in adapters_for(windowed[1], [library])] == ["Other bot"]
    assert adapters_for(library / "cut.gguf", [library]) == []
    assert adapters_for(library / "none.gguf", [library]) == []


def test_adapters_of_other_weights_are_not_offered(library: Path, tiny: tuple[Path, Path], tmp_path: Path) -> None:
    merged = make_adapter(tmp_path / "merged", tiny[0], modules_to_save=["lm_head"])
    other = convert(tiny[0], tmp_path / "other.gguf", outtype="q8_0", adapter=merged)
    assert adapters_for(other.path, [library]) == []


def test_a_changed_file_is_read_again(library: Path, tiny: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "adapter.gguf"
    path.write_bytes((library / "Support bot.gguf").read_bytes())
    assert [card.name for card in scan_adapters([tmp_path])] == ["Support bot"]
    path.write_bytes((library / "tiny.gguf").read_bytes())
    assert scan_adapters([tmp_path]) == []
