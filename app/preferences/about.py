"""Say what this program is made of, under which licence, and where its data lie."""

import platform
from pathlib import Path

import PySide6
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.preferences.rows import ROW_MARGIN
from app.widgets.labels import Label, WrappedLabel
from app.widgets.surfaces import Hairline
from engine.version import VERSION


class About(QWidget):
    """Show versions, licence and data folder as text that can be copied."""

    def __init__(self, data_folder: Path, parent: QWidget | None = None) -> None:
        """Make the block; the worker's versions come later."""
        super().__init__(parent)
        self._own = {"Phidelity": VERSION, "Python": platform.python_version(), "Qt": PySide6.__version__}
        self._versions = WrappedLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        heading = Label(self.tr("About"), "heading")
        heading.setContentsMargins(0, 0, 0, ROW_MARGIN)
        layout.addWidget(heading)
        layout.addWidget(Hairline())
        layout.addSpacing(ROW_MARGIN - layout.spacing())
        layout.addWidget(self._versions)
        for sentence in (
            self.tr(
                "Everything stays on this computer: Phidelity opens no connection to the internet, unless you have it "
                "download the packages for training."
            ),
            self.tr("Your chats and settings are in {}").format(data_folder),
            self.tr("Phidelity is free software under the Apache License 2.0."),
            self.tr("The built-in Starter is SmolLM2-135M-Instruct by Hugging Face, under the Apache License 2.0."),
        ):
            layout.addWidget(WrappedLabel(sentence, "muted"))
        self.show_versions({})

    def show_versions(self, others: dict[str, str]) -> None:
        """Show the versions of this process and of others."""
        versions = {**self._own, **others}
        self._versions.setText(" · ".join(f"{name} {version}" for name, version in versions.items()))
