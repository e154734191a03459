"""Own the look: colours, fonts, text scale and the style sheet made of them.

    theme = Theme(application, assets_folder)      # one per process, made in application.py
    theme.set_mode("dark")                         # "system", "light" or "dark"
    theme.set_scale(1.2); theme.grow(); theme.shrink(); theme.reset_scale()
    theme.colors.accent, theme.is_dark             # tokens, for custom painting
    theme.pixels(14)                               # a length of text, scaled
    theme.font(14, semibold=True), theme.code_font()
    theme.changed                                  # emitted after colours or scale changed

Ordinary widgets need none of this: the style sheet (assets/styles/window.qss) dresses them by class and by the
dynamic property `kind`. Pieces ready to use are in app/widgets.
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

Mode = Literal["system", "light", "dark"]

SMALLEST_SCALE = 0.8
LARGEST_SCALE = 2.0
SCALE_STEP = 0.1


@dataclass(frozen=True)
class Colors:
    """Name every colour of one theme, as #rrggbb.

    The plain `accent`, `good`, `warning` and `bad` fill bars and borders; their `_text` forms are a shade stronger
    where letters need it, so that each reaches a contrast of 4.5:1 on every ground of its theme.
    """

    background: str
    sidebar: str
    panel: str
    line: str
    line_strong: str
    text: str
    muted: str
    accent: str
    accent_text: str
    accent_background: str
    on_accent: str
    user_bubble: str
    code: str
    good: str
    good_text: str
    warning: str
    warning_text: str
    bad: str
    bad_text: str
    hover: str
    selection: str
    code_keyword: str
    code_string: str
    code_number: str
    code_comment: str
    code_name: str


LIGHT = Colors(
    background="#faf9f7",
    sidebar="#f2f0ec",
    panel="#ffffff",
    line="#e4e1da",
    line_strong="#cfcbc2",
    text="#1f1d1a",
    muted="#6f6a63",
    accent="#3b6ef5",
    accent_text="#2f5fe0",
    accent_background="#e9effe",
    on_accent="#ffffff",
    user_bubble="#eef1f6",
    code="#f6f5f2",
    good="#2f8f5b",
    good_text="#23724a",
    warning="#b7791f",
    warning_text="#8a590c",
    bad="#c24141",
    bad_text="#b93b3b",
    hover="#ebe8e2",
    selection="#cfdcfd",
    code_keyword="#7c46c8",
    code_string="#1c7a4a",
    code_number="#a8500f",
    code_comment="#6f6a63",
    code_name="#2f5fe0",
)
DARK = Colors(
    background="#17181a",
    sidebar="#1d1f22",
    panel="#222428",
    line="#33363c",
    line_strong="#484c54",
    text="#eceae6",
    muted="#9c9a95",
    accent="#7aa2ff",
    accent_text="#7aa2ff",
    accent_background="#26324e",
    on_accent="#17181a",
    user_bubble="#2a2d33",
    code="#1c1e21",
    good="#5cc48d",
    good_text="#5cc48d",
    warning="#e0ab4c",
    warning_text="#e0ab4c",
    bad="#ef7d7d",
    bad_text="#ef7d7d",
    hover="#292c31",
    selection="#35466f",
    code_keyword="#b48cff",
    code_string="#6fcf97",
    code_number="#f2a65a",
    code_comment="#9c9a95",
    code_name="#7aa2ff",
)


class Theme(QObject):
    """Dress the application and say when its look has changed."""

    changed = Signal()

    def __init__(self, application: QApplication, assets: Path, mode: Mode = "system", scale: float = 1.0) -> None:
        """Load the bundled fonts and apply the look."""
        super().__init__(application)
        self._application = application
        self._assets = assets
        self._mode: Mode = mode
        self._scale = _clamped(scale)
        self._text_family = _load_fonts(assets / "fonts", application)
        self._style = Template((assets / "styles" / "window.qss").read_text("utf-8"))
        application.setStyle("fusion")
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)
        self._apply()

    @property
    def mode(self) -> Mode:
        """Return the chosen mode."""
        return self._mode

    @property
    def scale(self) -> float:
        """Return the scale of text, 1.0 being normal."""
        return self._scale

    @property
    def is_dark(self) -> bool:
        """Tell whether the dark colours are shown."""
        if self._mode == "system":
            return QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
        return self._mode == "dark"

    @property
    def colors(self) -> Colors:
        """Return the colours that are shown."""
        return DARK if self.is_dark else LIGHT

    def set_mode(self, mode: Mode) -> None:
        """Show the light or dark colours, or follow the system."""
        if mode != self._mode:
            self._mode = mode
            self._apply()

    def set_scale(self, scale: float) -> None:
        """Scale all text, within the limits."""
        scale = _clamped(scale)
        if scale != self._scale:
            self._scale = scale
            self._apply()

    def grow(self) -> None:
        """Make text one step larger."""
        self.set_scale(self._scale + SCALE_STEP)

    def shrink(self) -> None:
        """Make text one step smaller."""
        self.set_scale(self._scale - SCALE_STEP)

    def reset_scale(self) -> None:
        """Show text at its normal size."""
        self.set_scale(1.0)

    def pixels(self, size: float) -> int:
        """Return a length that belongs to text (a font size, a line height) at the current scale."""
        return round(size * self._scale)

    def font(self, size: float = 14, *, semibold: bool = False, italic: bool = False) -> QFont:
        """Return the text font, `size` in pixels before scaling."""
        font = QFont(self._text_family)
        font.setPixelSize(self.pixels(size))
        font.setWeight(QFont.Weight.DemiBold if semibold else QFont.Weight.Normal)
        font.setItalic(italic)
        return font

    def code_font(self, size: float = 13) -> QFont:
        """Return the bundled monospace font, `size` in pixels before scaling."""
        font = QFont("DejaVu Sans Mono")
        font.setStyleHint(QFont.StyleHint.Monospace)
        font.setPixelSize(self.pixels(size))
        return font

    def _follow_system(self) -> None:
        if self._mode == "system":
            self._apply()

    def _apply(self) -> None:
        colors = self.colors
        self._application.setFont(self.font())
        self._application.setPalette(_palette(colors))
        lengths = {f"px{size}": f"{self.pixels(size)}px" for size in (11, 12, 13, 14, 15, 16, 20)}
        icons = {"icons": (self._assets / "icons").as_posix(), "tone": "dark" if self.is_dark else "light"}
        self._application.setStyleSheet(self._style.substitute(asdict(colors), **lengths, **icons))
        self.changed.emit()


def _clamped(scale: float) -> float:
    return round(min(max(scale, SMALLEST_SCALE), LARGEST_SCALE), 2)


def _load_fonts(folder: Path, application: QApplication) -> str:
    """Load the code font, and Inter where the system brings no good text font; return the text family."""
    for path in sorted(folder.glob("DejaVuSansMono*.ttf")):
        QFontDatabase.addApplicationFont(str(path))
    if sys.platform in ("darwin", "win32"):
        return application.font().family()
    for path in sorted(folder.glob("Inter-*.otf")):
        QFontDatabase.addApplicationFont(str(path))
    return "Inter"


def _palette(colors: Colors) -> QPalette:
    """Give the tokens to everything that paints from the palette: text widgets, selections, links, tool tips."""
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: colors.background,
        QPalette.ColorRole.WindowText: colors.text,
        QPalette.ColorRole.Base: colors.panel,
        QPalette.ColorRole.AlternateBase: colors.code,
        QPalette.ColorRole.Text: colors.text,
        QPalette.ColorRole.PlaceholderText: colors.muted,
        QPalette.ColorRole.Button: colors.panel,
        QPalette.ColorRole.ButtonText: colors.text,
        QPalette.ColorRole.ToolTipBase: colors.panel,
        QPalette.ColorRole.ToolTipText: colors.text,
        QPalette.ColorRole.Highlight: colors.selection,
        QPalette.ColorRole.HighlightedText: colors.text,
        QPalette.ColorRole.Link: colors.accent_text,
        QPalette.ColorRole.LinkVisited: colors.accent_text,
        QPalette.ColorRole.Accent: colors.accent,
        QPalette.ColorRole.Mid: colors.line,
    }
    for role, color in roles.items():
        palette.setColor(role, QColor(color))
    disabled = QPalette.ColorGroup.Disabled
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(disabled, role, QColor(colors.muted))
    return palette
