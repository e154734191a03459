"""Offer actions.

Button("Import…", "primary")        # kinds: primary secondary danger text small-text value good-badge bad-badge
MenuButton("Balanced", "value")     # shows "Balanced ▾"; fill button.menu() with actions
button.set_label("Precise")
"""

from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

ButtonKind = Literal["primary", "secondary", "danger", "text", "small-text", "value", "good-badge", "bad-badge"]


class Button(QPushButton):
    """Be a button in one of the kinds of the style sheet; its text is its accessible name."""

    def __init__(self, text: str, kind: ButtonKind = "secondary", parent: QWidget | None = None) -> None:
        """Make a button of a kind."""
        super().__init__(text, parent)
        self.setProperty("kind", kind)
        # A click must not move the focus away from the composer or a list; Tab still reaches every button.
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAutoDefault(False)


class MenuButton(Button):
    """Show a choice and open a menu to change it."""

    def __init__(self, text: str = "", kind: ButtonKind = "secondary", parent: QWidget | None = None) -> None:
        """Make a button with an empty menu."""
        super().__init__("", kind, parent)
        self.setMenu(QMenu(self))
        self.set_label(text)

    def set_label(self, text: str) -> None:
        """Show the choice."""
        # A single & would be taken for a keyboard mark.
        self.setText(f"{text.replace('&', '&&')} ▾")
