"""Draw the program's icon as Windows and macOS want it, from the one drawing in assets/."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

from release.components import ROOT

DRAWING = ROOT / "assets" / "icons" / "phidelity.svg"
ICO_SIZES = (16, 20, 24, 32, 40, 48, 64, 128, 256)
ICNS_SIZES = (32, 64, 128, 256, 512, 1024)


def write_ico(out: Path) -> Path:
    """Write the icon of the Windows programs and their installer."""
    return _write(out, ICO_SIZES)


def write_icns(out: Path) -> Path:
    """Write the icon of the macOS application."""
    return _write(out, ICNS_SIZES)


def _write(out: Path, sizes: tuple[int, ...]) -> Path:
    """Write every size in one file; the ending of `out` says in which format."""
    out.parent.mkdir(parents=True, exist_ok=True)
    *smaller, largest = (draw(size) for size in sizes)
    largest.save(out, sizes=[(size, size) for size in sizes], append_images=smaller)
    return out


def draw(size: int) -> Image.Image:
    """Draw the icon in `size` pixels, on nothing."""
    image = QImage(size, size, QImage.Format.Format_RGBA8888)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(DRAWING)).render(painter)
    painter.end()
    return Image.frombytes("RGBA", (size, size), bytes(image.constBits()))
