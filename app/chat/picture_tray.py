"""Hold the pictures of the message that is being written, above its text."""

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.chat.picture_chip import PictureChip
from app.storage.pictures import AttachedPicture
from app.theme import Theme
from app.widgets.buttons import Button, MenuButton
from app.widgets.labels import Label, WrappedLabel
from engine.pictures.stored_picture import DETAIL_CROPS, Detail

CHIP_GAP = 8


class PictureTray(QWidget):
    """Show what is attached, what it costs of the context, and what could not be attached."""

    opened = Signal(int)
    removed = Signal(object)
    # There is something where there was nothing, or the other way round.
    contents_changed = Signal()
    # A description is another one.
    changed = Signal()
    detail_chosen = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make an empty tray, which is hidden."""
        super().__init__(parent)
        self._theme = theme
        self._chips: list[PictureChip] = []
        self._detail: Detail = "fast"
        self._waits_to_send = False
        self._row = QHBoxLayout()
        self._area = self._make_area()
        self._detail_button = MenuButton("", "value")
        self._cost = Label("", "small")
        self._figures = QWidget()
        self._refusal = WrappedLabel("", "bad")
        self._dismiss = Button("×", "text")
        self._dismiss.clicked.connect(lambda: self.show_refusal(""))
        # The range grows only when the new chip has been laid out.
        bar = self._area.horizontalScrollBar()
        bar.rangeChanged.connect(lambda _, end: bar.setValue(end))
        self._prepare()
        self._lay_out()
        self.set_detail("fast")

    @property
    def pictures(self) -> tuple[AttachedPicture, ...]:
        """Return the pictures that have arrived, in order, with their descriptions."""
        return tuple(picture for chip in self._chips if (picture := chip.picture) is not None)

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to send, nor on its way."""
        return not self._chips

    @property
    def is_waiting(self) -> bool:
        """Tell whether a picture is still on its way in."""
        return any(chip.picture is None for chip in self._chips)

    def add(self, name: str) -> PictureChip:
        """Keep a place for a picture that is on its way in."""
        chip = PictureChip(self._theme, name)
        chip.removed.connect(partial(self._remove, chip))
        chip.opened.connect(lambda: self.opened.emit(self._place_of(chip)))
        chip.changed.connect(self.changed)
        self._chips.append(chip)
        self._row.insertWidget(self._row.count() - 1, chip)
        self._refresh()
        self.contents_changed.emit()
        return chip

    def arrive(self, chip: PictureChip, picture: AttachedPicture) -> None:
        """Put a picture into the place that was kept for it."""
        chip.show_picture(picture)
        self._refresh()

    def drop(self, chip: PictureChip) -> None:
        """Take a picture, or the place kept for one, out."""
        if chip in self._chips:
            self._chips.remove(chip)
            self._row.removeWidget(chip)
            chip.hide()
            chip.deleteLater()
            self._refresh()
            self.contents_changed.emit()

    def show_pictures(self, pictures: Sequence[AttachedPicture]) -> None:
        """Show these pictures in place of all others."""
        for chip in list(self._chips):
            self.drop(chip)
        for picture in pictures:
            self.arrive(self.add(picture.name), picture)
        self.show_refusal("")

    def show_refusal(self, sentence: str) -> None:
        """Say why something was not attached; an empty sentence takes the row away."""
        self._refusal.setText(sentence)
        self._refresh()

    def set_detail(self, detail: Detail) -> None:
        """Show how finely pictures are looked at."""
        self._detail = detail
        self._detail_button.set_label(self._detail_words(detail))
        self._refresh()

    def set_waits_to_send(self, waits: bool) -> None:
        """Say that the message goes once its pictures are in."""
        self._waits_to_send = waits
        self._refresh()

    def _refresh(self) -> None:
        refused = bool(self._refusal.text())
        self._refusal.setVisible(refused)
        self._dismiss.setVisible(refused)
        self._area.setVisible(bool(self._chips))
        self._figures.setVisible(bool(self._chips))
        self._cost.setText(self._cost_words())
        self.setVisible(bool(self._chips) or refused)
        if self._chips:
            bar = self._area.horizontalScrollBar()
            self._area.setFixedHeight(self._chips[-1].sizeHint().height() + bar.sizeHint().height())

    def _cost_words(self) -> str:
        if self._waits_to_send:
            return self.tr("Sends when the pictures are there")
        if self.is_waiting:
            return self.tr("Opening…")
        tokens = self.locale().toString(sum(picture.stored.tokens(self._detail) for picture in self.pictures))
        if len(self._chips) == 1:
            return self.tr("{0} tokens for 1 picture").format(tokens)
        return self.tr("{0} tokens for {1} pictures").format(tokens, len(self._chips))

    def _detail_words(self, detail: Detail) -> str:
        names = {"fast": self.tr("Fast · {0} crops"), "fine": self.tr("Fine · {0} crops")}
        return names[detail].format(DETAIL_CROPS[detail])

    def _remove(self, chip: PictureChip) -> None:
        self.drop(chip)
        self.removed.emit(chip)

    def _place_of(self, chip: PictureChip) -> int:
        return [each for each in self._chips if each.picture is not None].index(chip)

    def _prepare(self) -> None:
        for detail in DETAIL_CROPS:
            self._detail_button.menu().addAction(self._detail_words(detail), partial(self.detail_chosen.emit, detail))
        self._detail_button.setAccessibleName(self.tr("Detail of pictures"))
        self._detail_button.setToolTip(self.tr("More crops show more detail, and take longer and more of the context"))
        self._dismiss.setAccessibleName(self.tr("Dismiss"))
        self.setAccessibleName(self.tr("Attached pictures"))

    def _make_area(self) -> QScrollArea:
        holder = QWidget()
        holder.setLayout(self._row)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(CHIP_GAP)
        self._row.addStretch()
        area = QScrollArea()
        area.setWidget(holder)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        holder.setAutoFillBackground(False)
        return area

    def _lay_out(self) -> None:
        figures = QHBoxLayout(self._figures)
        figures.setContentsMargins(0, 0, -4, 0)
        figures.addWidget(self._cost)
        figures.addStretch()
        figures.addWidget(self._detail_button)
        refusal = QHBoxLayout()
        refusal.addWidget(self._refusal, 1)
        refusal.addWidget(self._dismiss, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self._area)
        layout.addWidget(self._figures)
        layout.addLayout(refusal)
