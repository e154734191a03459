"""Check the colours' contrast, the scale of text and the style sheet."""

from pathlib import Path

import pytest
from PySide6.QtGui import QColor, QFontInfo
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.theme import DARK, LIGHT, Colors, Theme

ASSETS = Path(__file__).parents[2] / "assets"


def _luminance(color: str) -> float:
    """Return WCAG 2.1's relative luminance."""
    parts = QColor(color).getRgbF()[:3]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ink", ["text", "muted", "accent_text", "good_text", "warning_text", "bad_text"])
@pytest.mark.parametrize("ground", ["background", "sidebar", "panel", "user_bubble", "code", "accent_background"])
def test_text_is_readable_on_every_ground(colors: Colors, ink: str, ground: str) -> None:
    assert _contrast(getattr(colors, ink), getattr(colors, ground)) >= 4.5


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_highlighted_code_and_primary_buttons_are_readable(colors: Colors) -> None:
    for ink in (colors.code_keyword, colors.code_string, colors.code_number, colors.code_comment, colors.code_name):
        assert _contrast(ink, colors.code) >= 4.5
    assert _contrast(colors.on_accent, colors.accent_text) >= 4.5


def test_mode_and_scale_change_the_look(qtbot: QtBot, qapp: QApplication) -> None:
    theme = Theme(qapp, ASSETS, "light")
    assert theme.colors is LIGHT
    assert LIGHT.background in qapp.styleSheet()
    with qtbot.waitSignal(theme.changed):
        theme.set_mode("dark")
    assert theme.is_dark
    assert DARK.background in qapp.styleSheet()
    with qtbot.waitSignal(theme.changed):
        theme.grow()
    assert theme.pixels(20) == 22
    assert "22px" in qapp.styleSheet()
    theme.set_scale(9)
    assert theme.scale == 2.0
    theme.reset_scale()
    assert theme.font(14, semibold=True).pixelSize() == 14
    assert QFontInfo(theme.code_font()).family() == "DejaVu Sans Mono"
