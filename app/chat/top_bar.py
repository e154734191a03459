"""Be the bar above the transcript: the language model, the room left in its context, and the chat's menu."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSizePolicy, QWidget

from app.engine_bridge import EngineState
from app.widgets.bars import ThinProgress
from app.widgets.buttons import Button, MenuButton
from app.widgets.labels import Badge, Label

HEIGHT = 52
LONGEST_NAME = 36
AMBER, RED = 0.8, 0.95


@dataclass(frozen=True)
class ModelChoice:
    """Be one model that can be chosen; `verified` tells whether a comparison found that it answers as its reference."""

    path: str
    title: str
    quantization: str
    size_bytes: int
    verified: bool = False
    has_vision: bool = False
    fits: bool = True


class TopBar(QWidget):
    """Hold the model picker, the context meter and the chat's menu."""

    rename_requested = Signal()
    export_requested = Signal()
    delete_requested = Signal()
    panel_toggled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make the bar."""
        super().__init__(parent)
        self.setMinimumHeight(HEIGHT)
        self.picker = ModelPicker()
        self.meter = ContextMeter()
        self._menu = QMenu(self)
        self._chat_actions = [
            self._menu.addAction(self.tr("Rename…"), self.rename_requested.emit),
            self._menu.addAction(self.tr("Export as Markdown…"), self.export_requested.emit),
            self._menu.addAction(self.tr("Move to trash"), self.delete_requested.emit),
        ]
        self._menu.addSeparator()
        self._panel_action = self._menu.addAction(self.tr("Chat settings"), self.panel_toggled.emit)
        self._panel_action.setCheckable(True)
        more = Button("⋯", "text")
        more.setAccessibleName(self.tr("More"))
        more.setToolTip(self.tr("Rename, export, delete"))
        more.setMenu(self._menu)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(18, 0, 12, 0)
        layout.setSpacing(12)
        layout.addWidget(self.picker)
        layout.addStretch()
        layout.addWidget(self.meter)
        layout.addWidget(more)

    def set_has_chat(self, has_chat: bool) -> None:
        """Offer what needs a chat that exists."""
        for action in self._chat_actions:
            action.setEnabled(has_chat)

    def set_panel_shown(self, shown: bool) -> None:
        """Show whether the chat's settings are seen."""
        self._panel_action.setChecked(shown)


class ModelPicker(QWidget):
    """Show which model answers and how its loading goes, and let another one be chosen."""

    load_requested = Signal(str)
    cancel_requested = Signal()
    eject_requested = Signal()
    models_requested = Signal()
    figures_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Begin without a model."""
        super().__init__(parent)
        self._state = EngineState()
        self._choices: list[ModelChoice] = []
        self._button = MenuButton("")
        self._button.setAccessibleName(self.tr("Language model"))
        self._button.menu().aboutToShow.connect(self._fill_menu)
        self._vision = Badge(self.tr("vision"), "accent")
        self._vision.setToolTip(self.tr("You can show it pictures."))
        self._sentence = Label("", "small")
        self._bar = ThinProgress(self.tr("Loading the model"))
        self._bar.setFixedWidth(90)
        self._verified = self._make_verified_badge()
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        for widget in (self._button, self._verified, self._vision, self._sentence, self._bar):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
        self.set_state(self._state)

    def set_choices(self, choices: Sequence[ModelChoice]) -> None:
        """Show other models to choose from."""
        self._choices = list(choices)
        self.set_state(self._state)

    def set_state(self, state: EngineState) -> None:
        """Show which model the engine has."""
        self._state = state
        loading = state.kind == "loading"
        name = self.model_name()
        shown = name if name and state.kind != "none" else self.tr("Choose a model")
        width = self.fontMetrics().averageCharWidth() * LONGEST_NAME
        self._button.set_label(self.fontMetrics().elidedText(shown, Qt.TextElideMode.ElideRight, width))
        self._button.setToolTip(shown)
        self._vision.setVisible(self._sees_pictures())
        self._sentence.setVisible(loading or state.kind == "failed")
        self._sentence.set_kind("bad" if state.kind == "failed" else "small")
        self._sentence.setText(self.tr("loading") if loading else self.tr("not loaded"))
        self._bar.setVisible(loading)
        self._bar.set_fraction(state.fraction)
        choice = self._choice()
        self._verified.setVisible(state.kind == "ready" and choice is not None and choice.verified)

    def model_name(self) -> str:
        """Return the name of the model that is loaded or loading, with its quantisation."""
        state = self._state
        choice = self._choice()
        if choice is not None:
            return _titled(choice.title, choice.quantization)
        if state.model is not None:
            return _titled(state.model.name, state.model.quantization)
        return Path(state.path).stem

    def _choice(self) -> ModelChoice | None:
        """Return what is known of the model of the present state."""
        return next((choice for choice in self._choices if choice.path == self._state.path), None)

    def _make_verified_badge(self) -> Button:
        badge = Button(self.tr("verified"), "good-badge")
        badge.setAccessibleName(self.tr("Verified: show the figures"))
        badge.setToolTip(self.tr("Compared with its reference: it answers as the reference does. Show the figures."))
        badge.clicked.connect(lambda: self.figures_requested.emit(self._state.path))
        return badge

    def _sees_pictures(self) -> bool:
        """Tell whether the model that is loaded, or about to be, sees pictures."""
        if self._state.kind == "ready" and self._state.model is not None:
            return self._state.model.num_crops > 0
        choice = self._choice()
        return self._state.kind == "loading" and choice is not None and choice.has_vision

    def _fill_menu(self) -> None:
        menu = self._button.menu()
        menu.clear()
        for choice in self._choices:
            name = _titled(choice.title, choice.quantization)
            vision = f" · {self.tr('vision')}" if choice.has_vision else ""
            words = f"{name}{vision}\t{_size(choice.size_bytes)}"
            action = menu.addAction(words.replace("&", "&&"), partial(self.load_requested.emit, choice.path))
            action.setCheckable(True)
            action.setChecked(choice.path == self._state.path and self._state.kind in ("ready", "loading"))
        menu.addSeparator()
        if self._state.kind == "loading":
            menu.addAction(self.tr("Cancel loading"), self.cancel_requested.emit)
        elif self._state.kind == "ready":
            menu.addAction(self.tr("Eject: free its memory"), self.eject_requested.emit)
        menu.addAction(self.tr("All models…"), self.models_requested.emit)


class ContextMeter(QWidget):
    """Show how much of the context a conversation fills."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Begin hidden."""
        super().__init__(parent)
        self._words = Label("", "small")
        self._bar = ThinProgress(self.tr("Context in use"))
        self._bar.setFixedWidth(80)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        layout.addWidget(self._words)
        layout.addWidget(self._bar)
        self.set_tokens(None, 0)

    def set_tokens(self, used: int | None, most: int) -> None:
        """Show the tokens in use of the most there can be; None hides the meter."""
        self.setVisible(used is not None and most > 0)
        if used is None or most <= 0:
            return
        locale = self.locale()
        words = self.tr("{0} / {1} tokens").format(locale.toString(used), locale.toString(most))
        self._words.setText(words)
        self.setAccessibleName(words)
        share = used / most
        self._bar.set_fraction(share)
        self._bar.set_tone("bad" if share >= RED else "warning" if share >= AMBER else "accent")


def _titled(name: str, quantization: str) -> str:
    return f"{name} · {quantization}" if quantization and quantization.lower() not in name.lower() else name


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
