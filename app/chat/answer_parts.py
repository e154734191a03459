"""Be the rows below an answer: what is being done, how it ended, and the actions."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSizePolicy, QVBoxLayout, QWidget

from app.chat.asks import TranscriptAsks
from app.chat.copy_button import CopyButton
from app.chat.outcome import Outcome, remedy_label
from app.storage.messages import BAD, GOOD, UNRATED, AnswerStats, Message
from app.widgets.bars import ThinProgress
from app.widgets.buttons import Button
from app.widgets.labels import ElidedLabel, Label, WrappedLabel


class StatusRow(QWidget):
    """Say what an answer waits for, how far it is, and offer to end it."""

    def __init__(self, asks: TranscriptAsks, parent: QWidget) -> None:
        """Make a hidden row."""
        super().__init__(parent)
        self._sentence = ElidedLabel("", "muted")
        self._sentence.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        cancel = Button(self.tr("Cancel"), "small-text")
        cancel.setAccessibleName(self.tr("Cancel this answer"))
        cancel.clicked.connect(asks.stop_requested)
        self._bar = ThinProgress(self.tr("Progress"))
        self._bar.setMaximumWidth(220)
        line = QHBoxLayout()
        line.setSpacing(12)
        line.addWidget(self._sentence)
        line.addWidget(cancel)
        line.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(8)
        layout.addLayout(line)
        layout.addWidget(self._bar)
        self.hide()

    def show_status(self, sentence: str | None, fraction: float | None) -> None:
        """Show a sentence, with a bar if the fraction is known; None hides the row."""
        self.setVisible(sentence is not None)
        self._sentence.setText(sentence or "")
        self._bar.setVisible(fraction is not None)
        self._bar.set_fraction(fraction or 0.0)


class OutcomeRow(QWidget):
    """Show the sentence about the end of an answer, and its remedy."""

    def __init__(self, asks: TranscriptAsks, parent: QWidget) -> None:
        """Make a hidden row."""
        super().__init__(parent)
        self._asks = asks
        self._message_id = 0
        self._outcome: Outcome | None = None
        self._sentence = WrappedLabel("", "small")
        self._button = Button("")
        self._button.clicked.connect(self._ask)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        layout.addWidget(self._sentence, 1)
        layout.addWidget(self._button)
        self.hide()

    def show_outcome(self, message_id: int, outcome: Outcome | None) -> None:
        """Show how the answer ended; None hides the row."""
        self._message_id = message_id
        self._outcome = outcome
        self.setVisible(outcome is not None)
        if outcome is None:
            return
        self._sentence.setText(outcome.sentence)
        self._sentence.set_kind("bad" if outcome.failed else "small")
        self._button.setVisible(outcome.remedy is not None)
        self._button.setText(remedy_label(outcome.remedy) if outcome.remedy else "")

    @property
    def has_outcome(self) -> bool:
        """Tell whether there is a sentence to show."""
        return self._outcome is not None

    def _ask(self) -> None:
        if self._outcome is not None and self._outcome.remedy is not None:
            self._asks.remedy_requested.emit(self._message_id, self._outcome.remedy)


class VersionSwitch(QWidget):
    """Go through the versions of a message: ‹ 2 / 3 ›."""

    def __init__(self, asks: TranscriptAsks, parent: QWidget | None = None) -> None:
        """Make a hidden switch."""
        super().__init__(parent)
        self._asks = asks
        self._message_id = 0
        self._older = Button("‹", "small-text")
        self._older.setAccessibleName(self.tr("Earlier version"))
        self._older.clicked.connect(lambda: asks.version_requested.emit(self._message_id, -1))
        self._place = Label("", "small")
        self._newer = Button("›", "small-text")
        self._newer.setAccessibleName(self.tr("Later version"))
        self._newer.clicked.connect(lambda: asks.version_requested.emit(self._message_id, 1))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for widget in (self._older, self._place, self._newer):
            layout.addWidget(widget)

    def show_message(self, message: Message) -> None:
        """Show which version a message is, if it has several."""
        self._message_id = message.id
        self.setVisible(message.versions > 1)
        self._place.setText(f"{message.version} / {message.versions}")
        self._older.setEnabled(message.version > 1)
        self._newer.setEnabled(message.version < message.versions)


class RatingButtons(QWidget):
    """Take what the user thinks of an answer; a second click takes it back."""

    def __init__(self, asks: TranscriptAsks, parent: QWidget | None = None) -> None:
        """Make two buttons, neither of them chosen."""
        super().__init__(parent)
        self._asks = asks
        self._message_id = 0
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        self._buttons: dict[int, Button] = {}
        for rating, text, name in (
            (GOOD, self.tr("Good"), self.tr("Rate this answer as good")),
            (BAD, self.tr("Bad"), self.tr("Rate this answer as bad")),
        ):
            button = Button(text, "small-text")
            button.setCheckable(True)
            button.setAccessibleName(name)
            button.setToolTip(self.tr("Kept on this computer; counts when you make training data of this chat."))
            button.clicked.connect(partial(self._ask, rating))
            layout.addWidget(button)
            self._buttons[rating] = button

    def show_message(self, message: Message) -> None:
        """Show the rating of an answer."""
        self._message_id = message.id
        for rating, button in self._buttons.items():
            button.setChecked(message.rating == rating)

    def _ask(self, rating: int) -> None:
        chosen = self._buttons[rating].isChecked()
        self._asks.rating_requested.emit(self._message_id, rating if chosen else UNRATED)


class AnswerActions(QWidget):
    """Offer Copy, Regenerate, Edit, ratings and versions; show speed and time to the first token."""

    def __init__(self, asks: TranscriptAsks, text: Callable[[], str], parent: QWidget) -> None:
        """Make the row; `text` gives what Copy copies."""
        super().__init__(parent)
        self._message_id = 0
        self._copy = CopyButton(self.tr("Copy this answer"), text)
        self._regenerate = Button(self.tr("Regenerate"), "small-text")
        self._regenerate.clicked.connect(lambda: asks.regenerate_requested.emit(self._message_id))
        self._edit = Button(self.tr("Edit"), "small-text")
        self._edit.setAccessibleName(self.tr("Edit the message above"))
        self._edit.setToolTip(self.tr("Edit the message above"))
        self._edit.clicked.connect(lambda: asks.edit_requested.emit(self._message_id))
        self._rating = RatingButtons(asks)
        self._compare = Button(self.tr("Compare"), "small-text")
        self._compare.setAccessibleName(self.tr("Compare two versions of this answer"))
        self._compare.clicked.connect(lambda: asks.compare_requested.emit(self._message_id))
        self._versions = VersionSwitch(asks)
        self._more = self._make_menu(asks)
        self._speed = ElidedLabel("", "small")
        self._speed.setAlignment(Qt.AlignmentFlag.AlignRight)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        buttons = (self._copy, self._regenerate, self._edit, self._rating, self._compare, self._versions, self._more)
        for widget in buttons:
            layout.addWidget(widget)
        layout.addWidget(self._speed, 1)

    def _make_menu(self, asks: TranscriptAsks) -> Button:
        more = Button("⋯", "small-text")
        more.setAccessibleName(self.tr("More about this answer"))
        menu = QMenu(more)
        menu.addAction(self.tr("Edit answer"), lambda: asks.answer_edit_requested.emit(self._message_id))
        more.setMenu(menu)
        return more

    def show_message(self, message: Message) -> None:
        """Show the row for a finished answer."""
        self._message_id = message.id
        self._copy.setVisible(bool(message.text))
        self._rating.setVisible(bool(message.text))
        self._rating.show_message(message)
        self._compare.setVisible(message.versions > 1)
        self._versions.show_message(message)
        edited = message.edited_from is not None
        self._speed.setText(self.tr("edited by you") if edited else self._speed_text(message.stats))

    def set_busy(self, busy: bool) -> None:
        """Disable what would disturb an answer that is being written."""
        for widget in (self._regenerate, self._edit, self._compare, self._versions, self._more):
            widget.setEnabled(not busy)

    def _speed_text(self, stats: AnswerStats | None) -> str:
        if stats is None:
            return ""
        parts = []
        if stats.tokens_per_second:
            parts.append(self.tr("{0} tok/s").format(f"{stats.tokens_per_second:.1f}"))
        if stats.first_token_ms is not None:
            parts.append(self.tr("first token {0} s").format(f"{stats.first_token_ms / 1000:.1f}"))
        return " · ".join(parts)
