"""Say in place what is wrong with the file of the loaded model, and offer to repair it."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from app.engine_bridge import EngineState
from app.widgets.buttons import Button
from app.widgets.labels import ElidedLabel


class NoteLine(QFrame):
    """Be one line under the bar; the whole text comes as a tool tip where it does not fit."""

    repair_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make a hidden line."""
        super().__init__(parent)
        self.setProperty("kind", "trouble")
        self._path = ""
        self._put_away = ""
        self._sentence = ElidedLabel("", "warning")
        self._repair = Button(self.tr("Repair"))
        self._repair.setToolTip(self.tr("Write a cured copy beside the other models. The old file stays."))
        self._repair.clicked.connect(self._ask_for_repair)
        hide = Button(self.tr("Hide"), "text")
        hide.clicked.connect(self._put_line_away)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(18, 8, 12, 8)
        layout.setSpacing(8)
        for widget in (self._sentence, self._repair, hide):
            layout.addWidget(widget)
        self.hide()

    def set_state(self, state: EngineState) -> None:
        """Show the notes on the loaded model, unless they were put away."""
        notes = state.model.notes if state.model is not None and state.kind == "ready" else ()
        self._path = state.path
        self._sentence.setText(" ".join(note.message for note in notes))
        self.setAccessibleName(self._sentence.text())
        self._repair.setVisible(any(note.repairable for note in notes))
        self.setVisible(bool(notes) and self._put_away != state.path)

    def _ask_for_repair(self) -> None:
        self._put_line_away()
        self.repair_requested.emit(self._path)

    def _put_line_away(self) -> None:
        self._put_away = self._path
        self.hide()
