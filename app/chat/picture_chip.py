"""Show one picture of the composer: small, with its description, and a way to take it out."""

from dataclasses import replace

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from app.chat.picture_thumbnail import PictureThumbnail
from app.storage.pictures import AttachedPicture
from app.theme import Theme
from app.widgets.bars import ThinProgress
from app.widgets.buttons import Button

THUMBNAIL = QSize(56, 44)
TEXT_WIDTH = 112
LONGEST_ALT_TEXT = 500


class PictureChip(QFrame):
    """Be a picture that is attached, or on its way in."""

    opened = Signal()
    removed = Signal()
    changed = Signal()

    def __init__(self, theme: Theme, name: str, parent: QWidget | None = None) -> None:
        """Wait for a picture called `name`."""
        super().__init__(parent)
        self._picture: AttachedPicture | None = None
        self._name = name
        self.setProperty("kind", "chip")
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._thumbnail = PictureThumbnail(theme, THUMBNAIL)
        self._thumbnail.clicked.connect(self.opened)
        self._thumbnail.setEnabled(False)
        self._alt_text = QLineEdit(name)
        self._alt_text.setProperty("kind", "plain")
        self._alt_text.setFixedWidth(TEXT_WIDTH)
        self._alt_text.setMaxLength(LONGEST_ALT_TEXT)
        self._alt_text.setPlaceholderText(self.tr("Describe the picture"))
        self._alt_text.setToolTip(self.tr("What is to be seen, for those who cannot see it"))
        self._alt_text.textEdited.connect(self._describe)
        self._progress = ThinProgress(self.tr("Opening {0}").format(name))
        self._progress.set_fraction(None)
        self._remove = Button("×", "text")
        self._remove.clicked.connect(self.removed)
        self._name_controls()
        self._lay_out()

    @property
    def picture(self) -> AttachedPicture | None:
        """Return the picture with its description as it is now, or None while it is on its way."""
        return replace(self._picture, alt_text=self.alt_text) if self._picture is not None else None

    @property
    def alt_text(self) -> str:
        """Return the description; an empty one is the name."""
        return self._alt_text.text().strip() or self._name

    def show_picture(self, picture: AttachedPicture) -> None:
        """Show the picture that has arrived."""
        self._picture = picture
        self._alt_text.setText(picture.alt_text)
        self._alt_text.setCursorPosition(0)
        self._thumbnail.show_picture(picture.thumbnail, picture.alt_text)
        self._thumbnail.setEnabled(True)
        self._progress.hide()

    def _describe(self) -> None:
        self._thumbnail.set_alt_text(self.alt_text)
        self._name_controls()
        self.changed.emit()

    def _name_controls(self) -> None:
        self.setAccessibleName(self.alt_text)
        self._alt_text.setAccessibleName(self.tr("Description of {0}").format(self._name))
        self._remove.setAccessibleName(self.tr("Remove {0}").format(self.alt_text))
        self._remove.setToolTip(self.tr("Remove"))

    def _lay_out(self) -> None:
        words = QVBoxLayout()
        words.setSpacing(4)
        words.addStretch()
        words.addWidget(self._alt_text)
        words.addWidget(self._progress)
        words.addStretch()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(5, 5, 4, 5)
        layout.setSpacing(8)
        layout.addWidget(self._thumbnail)
        layout.addLayout(words)
        layout.addWidget(self._remove, 0, Qt.AlignmentFlag.AlignTop)
