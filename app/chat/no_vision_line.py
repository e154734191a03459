"""Say in place that the model sees no pictures, and offer one that does."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.widgets.buttons import Button
from app.widgets.labels import WrappedLabel


class NoVisionLine(QWidget):
    """Stand above the text of the composer while pictures and a model without eyes are together."""

    switch_requested = Signal(str)
    import_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make a hidden line."""
        super().__init__(parent)
        self._path = ""
        self._sentence = WrappedLabel("", "warning")
        self._button = Button("")
        self._button.clicked.connect(self._act)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        layout.addWidget(self._sentence, 1)
        layout.addWidget(self._button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.hide()

    def show_line(self, sentence: str, title: str, path: str) -> None:
        """Show a sentence and the way to the vision model at `path`; without one, to the import."""
        self._path = path
        self._sentence.setText(sentence)
        words = self.tr("Switch to {0}").format(title) if path else self.tr("Import a vision model")
        self._button.setText(words.replace("&", "&&"))
        self._button.setAccessibleName(words)
        self.show()

    def take_focus(self) -> None:
        """Show that sending waits for an answer to this."""
        self._button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _act(self) -> None:
        if self._path:
            self.switch_requested.emit(self._path)
        else:
            self.import_requested.emit()
