"""Show text.

Label("Temperature", "muted")       # kinds: those of LabelKind
label.set_kind("bad")
WrappedLabel("Long text", "small")  # breaks lines, can be selected
ElidedLabel("Long name")            # one line, shortened with … to the space it gets, whole text in the tool tip
Badge("verified", "good")           # tones: good warning bad accent plain
"""

import html
from typing import Literal

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from app.widgets.style import restyle

LabelKind = Literal[
    "plain", "title", "heading", "strong", "muted", "small", "small-accent", "section", "good", "warning", "bad"
]
# Of the natural height of a line: 1.5 times the size of the letters.
LINE_HEIGHT = 124

BadgeTone = Literal["good", "warning", "bad", "accent", "plain"]


class Label(QLabel):
    """Show one line of plain text in one of the kinds of the style sheet."""

    def __init__(self, text: str = "", kind: LabelKind = "plain", parent: QWidget | None = None) -> None:
        """Make a label of a kind."""
        super().__init__(text, parent)
        # Names of files and models must never be read as rich text.
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("kind", kind)

    def set_kind(self, kind: LabelKind) -> None:
        """Change the kind."""
        restyle(self, "kind", kind)


class WrappedLabel(Label):
    """Show text over as many lines as it needs, and let it be selected."""

    def __init__(self, text: str = "", kind: LabelKind = "plain", parent: QWidget | None = None) -> None:
        """Make a label that breaks lines."""
        super().__init__("", kind, parent)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        # Only rich text has a line height; what is shown stays plain because it is escaped.
        self.setTextFormat(Qt.TextFormat.RichText)
        self._plain = ""
        self.setText(text)

    def text(self) -> str:
        """Return the plain text."""
        return self._plain

    def setText(self, text: str) -> None:
        """Show another plain text."""
        self._plain = text
        escaped = html.escape(text).replace("\n", "<br>")
        super().setText(f'<p style="line-height: {LINE_HEIGHT}%">{escaped}</p>' if text else "")


class ElidedLabel(Label):
    """Show one line, shortened at its end to the space it gets."""

    def __init__(self, text: str = "", kind: LabelKind = "plain", parent: QWidget | None = None) -> None:
        """Make a label that never asks for more room than it is given."""
        super().__init__(text, kind, parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        """Ask for a few letters only."""
        return QSize(self.fontMetrics().averageCharWidth() * 4, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Offer the whole text as a tool tip when it does not fit."""
        super().resizeEvent(event)
        self.setToolTip("" if self._fits() else self.text())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the shortened text."""
        painter = QPainter(self)
        rect = self.contentsRect()
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, rect.width())
        painter.setPen(self.palette().windowText().color())
        painter.drawText(rect, int(self.alignment() | Qt.AlignmentFlag.AlignVCenter), text)

    def _fits(self) -> bool:
        return self.fontMetrics().horizontalAdvance(self.text()) <= self.contentsRect().width()


class Badge(QLabel):
    """Show a word in a small frame."""

    def __init__(self, text: str = "", tone: BadgeTone = "plain", parent: QWidget | None = None) -> None:
        """Make a badge of a tone."""
        super().__init__(text, parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("kind", "badge")
        self.setProperty("tone", tone)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def set_tone(self, tone: BadgeTone) -> None:
        """Change the tone."""
        restyle(self, "tone", tone)
