"""Lay out the chat page: bar, messages, composer, and the panel at the right."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from app.chat.chat_panel import ChatPanel
from app.chat.composer import Composer
from app.chat.empty_state import EmptyState
from app.chat.note_line import NoteLine
from app.chat.top_bar import TopBar
from app.chat.transcript import COLUMN_WIDTH, TranscriptView
from app.engine_bridge import EngineState
from app.theme import Theme
from app.widgets.buttons import Button
from app.widgets.labels import WrappedLabel
from app.widgets.surfaces import Hairline

COMPOSER_MARGIN = 24
# Below this width the panel at the right would leave too little for the text.
PANEL_NEEDS = 960


class ChatPage(QWidget):
    """Hold the widgets of the chat page; the controller gives them life."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make the page."""
        super().__init__(parent)
        self.theme = theme
        self.setProperty("kind", "page")
        self.setAccessibleName(self.tr("Chat"))
        self.top_bar = TopBar()
        self.trouble = TroubleLine()
        self.notes = NoteLine()
        self.transcript = TranscriptView(theme)
        self.empty_state = EmptyState()
        self.composer = Composer(theme)
        self.panel = ChatPanel()
        self._panel_line = Hairline(Qt.Orientation.Vertical)
        self._middle = QStackedWidget()
        self._middle.addWidget(self.empty_state)
        self._middle.addWidget(self.transcript)
        self._roomy = True
        self._lay_out()
        self.top_bar.panel_toggled.connect(lambda: self.show_panel(self.panel.isHidden()))
        self.composer.system_prompt_requested.connect(self._open_system_prompt)
        self.show_panel(True)

    def show_messages(self, there_are_some: bool) -> None:
        """Show the transcript, or the greeting of an empty chat."""
        self._middle.setCurrentWidget(self.transcript if there_are_some else self.empty_state)

    def show_panel(self, shown: bool) -> None:
        """Show or hide the panel at the right."""
        self.panel.setVisible(shown)
        self._panel_line.setVisible(shown)
        self.top_bar.set_panel_shown(shown)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Hide the panel when the window becomes narrow, and bring it back when it becomes wide."""
        super().resizeEvent(event)
        roomy = self.width() >= PANEL_NEEDS
        if roomy != self._roomy:
            self._roomy = roomy
            self.show_panel(roomy)

    def _open_system_prompt(self) -> None:
        self.show_panel(True)
        self.panel.focus_system_prompt()

    def _lay_out(self) -> None:
        composer_row = QHBoxLayout()
        composer_row.setContentsMargins(COMPOSER_MARGIN, 8, COMPOSER_MARGIN, 16)
        self.composer.setMaximumWidth(COLUMN_WIDTH - 2 * COMPOSER_MARGIN + 32)
        composer_row.addWidget(self.composer)
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addWidget(self.top_bar)
        column.addWidget(Hairline())
        column.addWidget(self.trouble)
        column.addWidget(self.notes)
        column.addWidget(self._middle, 1)
        column.addLayout(composer_row)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(column, 1)
        layout.addWidget(self._panel_line)
        layout.addWidget(self.panel)


class TroubleLine(QFrame):
    """Say in place why no model is loaded, with a way out."""

    models_requested = Signal()
    retry_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make a hidden line."""
        super().__init__(parent)
        self.setProperty("kind", "trouble")
        self._sentence = WrappedLabel("", "bad")
        retry = Button(self.tr("Try again"))
        retry.clicked.connect(self.retry_requested)
        models = Button(self.tr("Open Models"))
        models.clicked.connect(self.models_requested)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(18, 8, 12, 8)
        layout.setSpacing(8)
        layout.addWidget(self._sentence, 1)
        layout.addWidget(retry)
        layout.addWidget(models)
        self.hide()

    def set_state(self, state: EngineState) -> None:
        """Show the failure of the engine, if there is one."""
        self.setVisible(state.kind == "failed")
        if state.error is not None:
            self._sentence.setText(" ".join(filter(None, [state.error.message, state.error.remedy])))
            self._sentence.setToolTip(state.error.details or "")
