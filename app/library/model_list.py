"""Keep the list of models on this computer, for every page that shows or offers models.

models = ModelList(settings, paths.models, records, background)     # one per process, made in application.py
models.refresh()            # looks at the disk in the background; cheap when nothing has changed
models.entries              # list of ModelEntry: built-in ones last
models.changed              # Signal(): entries differ
models.looked               # Signal(): the disk was looked at, adapters may differ
models.rename(path, title); models.add_in_place(path);
models.note_speed(path, tokens_per_second)
models.remove(entry, trash=True)        # then `changed`, or `remove_failed(ModelEntry, str)`
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from PySide6.QtCore import QFile, QObject, QTimer, Signal

from app.background import Background
from app.settings import Settings
from app.storage.models import ModelRecords
from engine.library.adapter_card import AdapterCard
from engine.library.folders import builtin_models_dir, starter_path
from engine.library.model_card import ModelCard

Fit = Literal["yes", "tight", "no"]


@dataclass(frozen=True)
class ModelEntry:
    """Show one model: its card, its title, whether it fits, and the speed last measured here (None: not yet)."""

    card: ModelCard
    title: str
    fit: Fit
    tokens_per_second: float | None = None

    @property
    def path(self) -> Path:
        """Return the GGUF file."""
        return self.card.path

    @property
    def is_starter(self) -> bool:
        """Tell whether this is the built-in Starter."""
        return self.card.path == starter_path()

    @property
    def is_verified(self) -> bool:
        """Tell whether a comparison of this very file found that it answers as its reference."""
        return self.card.verification is not None and self.card.verification.verified


class ModelList(QObject):
    """Know the models and change what is known of them."""

    changed = Signal()
    looked = Signal()
    remove_failed = Signal(ModelEntry, str)

    def __init__(
        self,
        settings: Settings,
        default_folder: Path,
        records: ModelRecords,
        background: Background,
        parent: QObject | None = None,
    ) -> None:
        """List the built-in models, those in `default_folder`, and those in the folder of the settings."""
        super().__init__(parent)
        self._settings = settings
        self._default_folder = default_folder
        self._records = records
        self._background = background
        self._cards: list[ModelCard] = []
        self._scanning = False
        self._scan_again = False
        self.entries: list[ModelEntry] = []
        self.scanned = False
        settings.changed.connect(self._setting_changed)

    @property
    def folder(self) -> Path:
        """Return the folder that new models go to."""
        chosen = self._settings.values.models_folder
        return Path(chosen) if chosen else self._default_folder

    def refresh(self) -> None:
        """Look at the disk again; many calls in a row lead to one more look."""
        if self._scanning:
            self._scan_again = True
            return
        self._scanning = True
        folders = self._folders()
        self._background.run(lambda: _scan(folders), self._show_cards)

    def find_adapters(self, model: Path, on_found: Callable[[list[AdapterCard]], object]) -> None:
        """Look for the adapters that fit a model and hand them over."""
        folders = self._folders()
        self._background.run(lambda: _adapters_for(model, folders), on_found)

    def find(self, path: Path) -> ModelEntry | None:
        """Return the entry of a file, or None."""
        return next((entry for entry in self.entries if entry.path == path), None)

    def rename(self, path: Path, title: str) -> None:
        """Give a model another title; an empty one returns to that of the file."""
        self._records.rename(path, title.strip() or None)
        self._make_entries()

    def note_speed(self, path: Path, tokens_per_second: float) -> None:
        """Remember the speed of an answer that was just measured."""
        self._records.note_speed(path, tokens_per_second)
        self._make_entries()

    def add_in_place(self, path: Path) -> None:
        """Make a GGUF file a model where it lies."""
        folder = self.folder
        self._background.run(lambda: _add_reference(folder, path), lambda _: self.refresh())

    def covers(self, path: Path) -> bool:
        """Tell whether a file lies where models are looked for anyway."""
        folders = {folder.resolve() for folder in self._folders()}
        return not folders.isdisjoint([path.parent, path.parent.parent])

    def remove(self, entry: ModelEntry, *, trash: bool = True) -> None:
        """Take a model off the list; its file goes to the trash or for good, but one used in place stays."""
        self._background.run(lambda: _remove(entry.card, trash), lambda problem: self._removed(entry, problem))

    def _folders(self) -> list[Path]:
        return list(dict.fromkeys([self.folder, self._default_folder, builtin_models_dir()]))

    def _removed(self, entry: ModelEntry, problem: str | None) -> None:
        if problem is not None:
            self.remove_failed.emit(entry, problem)
            return
        self._records.forget(entry.path)
        self.refresh()

    def _setting_changed(self, name: str) -> None:
        if name == "models_folder":
            self.refresh()

    def _show_cards(self, cards: list[ModelCard]) -> None:
        self._scanning = False
        self._cards = cards
        first = not self.scanned
        self.scanned = True
        self._make_entries(even_if_equal=first)
        self.looked.emit()
        if self._scan_again:
            self._scan_again = False
            QTimer.singleShot(0, self.refresh)

    def _make_entries(self, *, even_if_equal: bool = False) -> None:
        """Put cards and records together, and tell when something differs."""
        records = self._records.all()
        memory = psutil.virtual_memory()
        entries = []
        for card in self._cards:
            record = records.get(card.path)
            title = "Starter" if card.path == starter_path() else card.name
            fit = fit_of(card.memory_bytes, memory.available, memory.total)
            speed = record.tokens_per_second if record else None
            entries.append(ModelEntry(card, (record and record.title) or title, fit, speed))
        if entries != self.entries or even_if_equal:
            self.entries = entries
            self.changed.emit()


def fit_of(need: int, available: int, total: int) -> Fit:
    """Tell whether a model fits: in what is free, only once other programs make room, or not at all."""
    if need <= available:
        return "yes"
    return "tight" if need <= total else "no"


def _scan(folders: list[Path]) -> list[ModelCard]:
    # The scanner brings numpy, which the window does not wait for at its start.
    from engine.library.scanner import scan

    return list({card.path: card for card in scan(folders)}.values())


def _adapters_for(model: Path, folders: list[Path]) -> list[AdapterCard]:
    from engine.library.adapters import adapters_for

    return adapters_for(model, folders)


def _add_reference(folder: Path, path: Path) -> None:
    from engine.library.scanner import add_reference

    add_reference(folder, path)


def _remove(card: ModelCard, trash: bool) -> str | None:
    """Remove the files of a model and return what went wrong."""
    if card.reference is not None:
        return _delete(card.reference)
    for file in _files(card.path):
        if trash and not QFile.moveToTrash(str(file)):
            return f"{file.name} cannot be moved to the trash."
        if not trash and (problem := _delete(file)):
            return problem
    return None


def _delete(file: Path) -> str | None:
    try:
        file.unlink(missing_ok=True)
    except OSError as fault:
        return f"{file.name} cannot be deleted: {fault.strerror}."
    return None


def _files(path: Path) -> list[Path]:
    """Give the files of a model that are there; it may be split over several, and have a companion."""
    from converter.companion_path import companion_path
    from engine.library.scanner import model_files

    return [file for file in (*model_files(path), companion_path(path)) if file.exists()]
