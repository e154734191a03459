"""Draw the icons and look at them again."""

from pathlib import Path

import pytest
from PIL import Image

from release.icons import ICNS_SIZES, ICO_SIZES, draw, write_icns, write_ico


def test_the_icon_is_drawn_on_nothing() -> None:
    icon = draw(64)
    assert icon.getpixel((0, 0))[3] == 0
    assert icon.getpixel((10, 32)) == (0x3B, 0x6E, 0xF5, 255)
    assert icon.getpixel((32, 32)) == (255, 255, 255, 255)


def test_windows_finds_every_size(tmp_path: Path) -> None:
    with Image.open(write_ico(tmp_path / "phidelity.ico")) as icon:
        assert icon.info["sizes"] == {(size, size) for size in ICO_SIZES}
        for size in ICO_SIZES:
            icon.size = (size, size)
            assert icon.copy().convert("RGBA").tobytes() == draw(size).tobytes()


def test_macos_finds_every_size(tmp_path: Path) -> None:
    with Image.open(write_icns(tmp_path / "phidelity.icns")) as icon:
        assert {width * scale for width, _, scale in icon.info["sizes"]} == set(ICNS_SIZES)


@pytest.mark.parametrize(("write", "name"), [(write_ico, "a.ico"), (write_icns, "a.icns")])
def test_the_same_bytes_each_time(write, name: str, tmp_path: Path) -> None:
    assert write(tmp_path / "1" / name).read_bytes() == write(tmp_path / "2" / name).read_bytes()
