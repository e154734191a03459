"""Show what a comparison with the reference found, band by band."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QGridLayout, QVBoxLayout, QWidget

from app.library.model_list import ModelEntry
from app.widgets.buttons import Button
from app.widgets.labels import Label, WrappedLabel


class FiguresDialog(QDialog):
    """Explain the word "verified" of one model."""

    def __init__(self, entry: ModelEntry, parent: QWidget | None = None) -> None:
        """Lay out the figures of `entry.card.verification`, which must be there."""
        super().__init__(parent)
        record = entry.card.verification
        assert record is not None
        self.setWindowTitle(self.tr("Comparison of {}").format(entry.title))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 20, 24, 20)
        layout.setSpacing(14)
        verdict = (
            self.tr("{} answers as its reference does, as far as {:.1f} bits per weight allow.")
            if record.verified
            else self.tr("{} departs from its reference by more than {:.1f} bits per weight explain.")
        )
        layout.addWidget(WrappedLabel(verdict.format(entry.title, record.bits_per_weight)))
        grid = QGridLayout()
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(8)
        titles = [self.tr("Tokens"), self.tr("Difference"), self.tr("KL, nats"), self.tr("Same choice"), ""]
        for column, title in enumerate(titles):
            grid.addWidget(Label(title, "small"), 0, column)
        for row, band in enumerate(record.bands, start=1):
            figures = [
                f"{band.first:,} – {band.last:,}",
                f"{band.relative_error:.1e}",
                f"{band.kl:.1e}",
                f"{band.same_top:.1%}",
                self.tr(band.name),
            ]
            for column, text in enumerate(figures):
                grid.addWidget(Label(text, "muted" if column == len(figures) - 1 else "plain"), row, column)
        layout.addLayout(grid)
        source = self.tr("Reference: {} in PyTorch, {}.").format(record.checkpoint, record.reference_dtype)
        layout.addWidget(WrappedLabel(source, "small"))
        if record.clamp_share is not None:
            clamps = self.tr("The model's clamps acted on {:.2%} of its activations; llama.cpp does not have them.")
            layout.addWidget(WrappedLabel(clamps.format(record.clamp_share), "small"))
        if record.near_tie_share is not None:
            ties = self.tr(
                "Near ties between experts, put right here and not in other programs: {:.2%} of all choices."
            )
            layout.addWidget(WrappedLabel(ties.format(record.near_tie_share), "small"))
        close = Button(self.tr("Close"))
        close.clicked.connect(self.accept)
        layout.addWidget(close, alignment=Qt.AlignmentFlag.AlignRight)
