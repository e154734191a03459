"""Check that settings are kept, checked, and survive any file."""

import dataclasses
import json
from pathlib import Path

import pytest

from app.settings import PRESETS, Settings, Values, limits_of, preset_of


def test_changes_are_told_and_found_again(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "profile" / "settings.json")
    assert settings.values == Values()
    assert settings.notice is None
    told: list[str] = []
    settings.changed.connect(told.append)
    settings.change(theme="dark", temperature=0.2, threads=0)
    settings.change(theme="dark")
    assert told == ["theme", "temperature"]
    again = Settings(tmp_path / "profile" / "settings.json")
    assert (again.values.theme, again.values.temperature) == ("dark", 0.2)
    assert again.notice is None
    assert [file.name for file in (tmp_path / "profile").iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theme", "pink"),
        ("theme", 1),
        ("threads", -1),
        ("threads", 2.5),
        ("threads", True),
        ("temperature", float("nan")),
        ("temperature", 2.1),
        ("temperature", "0.5"),
        ("context", 1),
        ("models_folder", None),
    ],
)
def test_a_bad_value_is_refused_and_in_a_file_replaced(name: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    with pytest.raises(ValueError, match=name):
        Settings(path).change(**{name: value})
    path.write_text(json.dumps({name: value, "text_scale": 1.5}))
    settings = Settings(path)
    assert settings.values == Values(text_scale=1.5)
    assert settings.notice is not None
    assert name in settings.notice


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00", b"null", b"[" * 100_000])
def test_a_damaged_file_is_kept_aside(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    settings = Settings(path)
    assert settings.values == Values()
    assert settings.notice is not None
    assert (tmp_path / "settings.json.damaged").read_bytes() == content
    settings.change(theme="light")
    assert Settings(path).values.theme == "light"


def test_what_a_newer_version_wrote_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"hologram": [1, 2], "theme": "dark"}')
    Settings(path).change(theme="light")
    assert json.loads(path.read_text()) == {"hologram": [1, 2], "theme": "light"}


def test_a_folder_that_cannot_be_written_is_named_and_the_change_holds(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = Settings(tmp_path / "file" / "settings.json")
    sentences: list[str] = []
    settings.save_failed.connect(sentences.append)
    settings.change(theme="dark")
    assert settings.values.theme == "dark"
    assert len(sentences) == 1


def test_every_default_is_within_its_limits_and_explained() -> None:
    for each in dataclasses.fields(Values):
        Settings(Path("unused")).change(**{each.name: each.default})
        assert limits_of(each.name).help.endswith(".")


def test_presets_are_recognised_and_valid(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "settings.json")
    assert preset_of(settings.values) == "balanced"
    for name, preset in PRESETS.items():
        settings.change(**preset)
        assert preset_of(settings.values) == name
        assert settings.values.sampling().temperature == preset["temperature"]
    settings.change(temperature=0.33)
    assert preset_of(settings.values) is None


def test_a_seed_below_zero_is_a_random_one() -> None:
    assert Values().sampling().seed is None
    assert Values(seed=7).sampling().seed == 7
