"""Offer actions.

Button("Import…", "primary")        # kinds: primary secondary danger text small-text value good-badge bad-badge
ElidedButton("A long name", "value") # shortened to the room it gets, whole in the tool tip
MenuButton("Balanced", "value")     # shows "Balanced ▾"; fill button.menu() with actions
button.set_label("Precise")
"""

from typing import Literal

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QMenu, QPushButton, QSizePolicy, QWidget

LEAST_LETTERS = 8

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


class ElidedButton(Button):
    """Be a button whose text is shortened to the room that it gets."""

    def __init__(self, text: str, kind: ButtonKind = "secondary", parent: QWidget | None = None) -> None:
        """Make a button that never asks for more room than it is given."""
        super().__init__("", kind, parent)
        self.setProperty("elided", True)
        self._whole = text
        self._shown = ""
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._show(text)

    def sizeHint(self) -> QSize:
        """Ask for the whole text."""
        return super().sizeHint() + QSize(self._width(self._whole) - self._width(self._shown), 0)

    def minimumSizeHint(self) -> QSize:
        """Ask for a few letters at least."""
        return QSize(self.fontMetrics().averageCharWidth() * LEAST_LETTERS, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shorten the text to the width, and offer the whole of it as a tool tip."""
        super().resizeEvent(event)
        room = event.size().width() - (self.sizeHint().width() - self._width(self._whole))
        elided = self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, room)
        self._show(self._whole if self._width(self._whole) <= room else elided)
        self.setToolTip("" if self._shown == self._whole else self._whole)

    def _show(self, text: str) -> None:
        self._shown = text
        self.setText(text.replace("&", "&&"))

    def _width(self, text: str) -> int:
        """Measure as Qt does for its own size hint."""
        return self.fontMetrics().size(Qt.TextFlag.TextShowMnemonic, text.replace("&", "&&")).width()


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
