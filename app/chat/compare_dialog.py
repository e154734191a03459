"""Show two versions of an answer side by side, without saying which is which until the user has voted."""

from dataclasses import replace
from typing import Literal

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.chat.answer_view import GUTTER, AnswerView
from app.chat.asks import TranscriptAsks
from app.chat.made_with import made_with_text
from app.storage.messages import UNRATED, Message
from app.theme import Theme
from app.widgets.buttons import Button
from app.widgets.labels import ElidedLabel, Label, WrappedLabel
from app.widgets.surfaces import Hairline

Verdict = Literal["left", "right", "equal"]
SIZE = (920, 560)


class CompareDialog(QDialog):
    """Ask which of two answers is better; `decided` brings the verdict, `reveal` says what they were."""

    decided = Signal(str)

    def __init__(
        self, theme: Theme, question: str, left: Message, right: Message, parent: QWidget | None = None
    ) -> None:
        """Show two answers to a question."""
        super().__init__(parent)
        self.setWindowTitle(self.tr("Compare answers"))
        self.resize(*SIZE)
        self._left = ComparedAnswer(theme, self.tr("Left"), left, self)
        self._right = ComparedAnswer(theme, self.tr("Right"), right, self)
        self._title = Label(self.tr("Which answer is better?"), "title")
        self._question = ElidedLabel(" ".join(question.split()), "muted")
        self._buttons: list[Button] = []
        self._close = Button(self.tr("Close"), "primary")
        self._close.clicked.connect(self.accept)
        self._close.hide()
        self._lay_out()
        theme.changed.connect(self._left.redraw)
        theme.changed.connect(self._right.redraw)

    def reveal(self, verdict: Verdict) -> None:
        """Say what was voted and which version was which."""
        self._title.setText(
            {
                "left": self.tr("You found the left answer better."),
                "right": self.tr("You found the right answer better."),
                "equal": self.tr("You found both answers equal."),
            }[verdict]
        )
        self._left.reveal()
        self._right.reveal()
        for button in self._buttons:
            button.hide()
        self._close.show()
        self._close.setFocus()

    def _lay_out(self) -> None:
        sides = QHBoxLayout()
        sides.setSpacing(16)
        sides.addWidget(self._left, 1)
        sides.addWidget(Hairline(Qt.Orientation.Vertical))
        sides.addWidget(self._right, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 20, 24, 16)
        layout.setSpacing(12)
        layout.addWidget(self._title)
        layout.addWidget(self._question)
        layout.addWidget(Hairline())
        layout.addLayout(sides, 1)
        layout.addWidget(Hairline())
        layout.addLayout(self._foot())

    def _foot(self) -> QHBoxLayout:
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addStretch()
        verdicts: tuple[tuple[Verdict, str], ...] = (
            ("left", self.tr("Left is better")),
            ("equal", self.tr("Equal")),
            ("right", self.tr("Right is better")),
        )
        for verdict, text in verdicts:
            button = Button(text)
            button.clicked.connect(lambda _checked=False, verdict=verdict: self.decided.emit(verdict))
            foot.addWidget(button)
            self._buttons.append(button)
        foot.addWidget(self._close)
        foot.addStretch()
        return foot


class ComparedAnswer(QWidget):
    """Show one of the two answers, and once it is revealed what it was made with."""

    def __init__(self, theme: Theme, side: str, message: Message, parent: QWidget) -> None:
        """Show the words of an answer and nothing else of it."""
        super().__init__(parent)
        self._message = message
        # How an answer ended, and how fast, could tell which it was.
        bare = replace(message, stats=None, version=1, versions=1, rating=UNRATED, made_with={})
        self._answer = _AnswerArea(theme, bare)
        self._answer.setAccessibleName(side)
        self._about = WrappedLabel("", "small")
        self._about.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(Label(side, "section"))
        layout.addWidget(self._answer, 1)
        layout.addWidget(self._about)

    def reveal(self) -> None:
        """Say which version it was, and what it was made with."""
        self._about.setText(made_with_text(self._message))
        self._about.show()

    def redraw(self) -> None:
        """Take the theme's new colours and sizes."""
        self._answer.redraw()


class _AnswerArea(QScrollArea):
    """Scroll through an answer of any length."""

    def __init__(self, theme: Theme, message: Message) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._holder = QWidget()
        self._holder.setProperty("kind", "page")
        self._view = AnswerView(theme, TranscriptAsks(self), message, self._holder, with_actions=False)
        self.setWidget(self._holder)

    def redraw(self) -> None:
        self._view.redraw()
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Break the lines anew."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        width = self.viewport().width()
        height = self._view.height_for(width + GUTTER)
        # The words stand in line with the heading.
        self._view.setGeometry(-GUTTER, 0, width + GUTTER, height)
        self._holder.resize(width, height)
