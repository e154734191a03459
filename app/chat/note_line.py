"""Say in place what is wrong with the loaded model, its file or where it runs, and offer what helps."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from app.engine_bridge import EngineState
from app.widgets.buttons import Button
from app.widgets.labels import ElidedLabel
from engine.protocol import LoadNote


class NoteLine(QFrame):
    """Be one line under the bar; the whole text comes as a tool tip where it does not fit."""

    repair_requested = Signal(str)
    gpu_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make a hidden line."""
        super().__init__(parent)
        self.setProperty("kind", "trouble")
        self._path = ""
        self._notes: tuple[LoadNote, ...] = ()
        self._put_away: tuple[str, tuple[LoadNote, ...]] | None = None
        self._sentence = ElidedLabel("", "warning")
        self._repair = Button(self.tr("Repair"))
        self._repair.setToolTip(self.tr("Write a cured copy beside the other models. The old file stays."))
        self._repair.clicked.connect(self._ask_for_repair)
        self._gpu = Button(self.tr("Try the graphics card"))
        self._gpu.setToolTip(self.tr("Load the model onto the graphics card again."))
        self._gpu.clicked.connect(lambda: self.gpu_requested.emit(self._path))
        hide = Button(self.tr("Hide"), "text")
        hide.clicked.connect(self._put_line_away)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(18, 8, 12, 8)
        layout.setSpacing(8)
        for widget in (self._sentence, self._repair, self._gpu, hide):
            layout.addWidget(widget)
        self.hide()

    def set_state(self, state: EngineState) -> None:
        """Show the notes on the loaded model, unless they were put away."""
        notes = state.model.notes if state.model is not None and state.kind == "ready" else ()
        self._path = state.path
        self._sentence.setText(" ".join(note.message for note in notes))
        self.setAccessibleName(self._sentence.text())
        self._repair.setVisible(any(note.repairable for note in notes))
        self._gpu.setVisible(any(note.code == "gpu_set_aside" for note in notes))
        self.setVisible(bool(notes) and self._put_away != (state.path, notes))
        self._notes = notes

    def _ask_for_repair(self) -> None:
        self._put_line_away()
        self.repair_requested.emit(self._path)

    def _put_line_away(self) -> None:
        self._put_away = self._path, self._notes
        self.hide()
