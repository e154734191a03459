"""The Settings page. Each change is saved at once and told by `settings.changed`.

page = SettingsPage(settings, default_models_folder, data_folder)
page.reload_requested               # Signal(): load the model again, so that changed threads and context count
page.show_models([(title, path)])   # what the default model can be chosen from
page.note_model_loaded()            # from now on differing load settings offer "Reload model"
page.note_model_unloaded()
page.set_gpu_available(True)        # shows the row of GPU layers
page.show_training_packages(1_300_000_000)  # shows how much they take and offers to remove them; 0 hides that
page.packages_removal_requested     # Signal(): remove them
page.show_versions({"llama.cpp": "..."})    # the worker's, as its ready event gives them
"""

import dataclasses
import os
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from app.preferences.about import About
from app.preferences.fields import Field, choice, number
from app.preferences.rows import Section, SettingRow
from app.settings import PRESETS, Settings, Values, limits_of, preset_of
from app.widgets.buttons import Button
from app.widgets.labels import WrappedLabel
from app.widgets.surfaces import Card, Page

MEASURE = 720
CONTEXTS = (2048, 4096, 8192, 16384, 32768, 65536, 131072)
LONGEST = (256, 512, 1024, 2048, 4096)
CUSTOM = "custom"


class SettingsPage(Page):
    """Show every setting that a user may want to change, and what this program is."""

    reload_requested = Signal()
    packages_removal_requested = Signal()

    def __init__(
        self, settings: Settings, default_models_folder: Path, data_folder: Path, parent: QWidget | None = None
    ) -> None:
        """Make the page and show the present values."""
        super().__init__(self.tr("Settings"), parent)
        self._settings = settings
        self._default_models_folder = default_models_folder
        self._loaded_with: Values | None = None
        self._models: list[tuple[str, Path]] = []
        self._fields = self._make_fields()
        self._preset = choice({**self._preset_names(), CUSTOM: self.tr("Custom")})
        self._about = About(data_folder)
        self._reload_card = self._make_reload_card()
        column = QVBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(28)
        for part in (self._reload_card, *self._make_sections(), self._about):
            column.addWidget(part)
        content = QWidget()
        content.setMaximumWidth(MEASURE)
        content.setLayout(column)
        self.body.addWidget(content)
        self.body.addStretch()
        self._connect()
        self._show_values()

    def show_models(self, models: list[tuple[str, Path]]) -> None:
        """Offer these as the default model; a chosen one that is gone is still named."""
        self._models = models
        self._show_values()

    def note_model_loaded(self) -> None:
        """Remember the values that a model was just loaded with."""
        self._loaded_with = self._settings.values
        self._show_reload()

    def note_model_unloaded(self) -> None:
        """Know that no model is loaded."""
        self._loaded_with = None
        self._show_reload()

    def set_gpu_available(self, available: bool) -> None:
        """Show what concerns a graphics card only where there is one."""
        self._gpu_row.setVisible(available)

    def show_training_packages(self, size_bytes: int) -> None:
        """Say how much the packages of training take, and offer to remove them; 0: there are none."""
        text = self.tr("PyTorch and what belongs to it: about {:.1f} GB.").format(size_bytes / 1e9)
        self._packages_row.help.setText(text)
        self._remove_packages.setAccessibleDescription(text)
        self._training_section.setVisible(size_bytes > 0)

    def show_versions(self, versions: dict[str, str]) -> None:
        """Add the versions of the worker's parts to the block about this program."""
        self._about.show_versions(versions)

    def _make_fields(self) -> dict[str, Field]:
        threads = {number: str(number) for number in range(1, (os.cpu_count() or 1) + 1)}
        tokens = self.tr("{:,} tokens").format
        return {
            "theme": choice({"system": self.tr("As the system"), "light": self.tr("Light"), "dark": self.tr("Dark")}),
            "text_scale": choice(
                {step / 10: f"{step}0 %" for step in range(8, 21)}, lambda scale: f"{round(scale * 100)} %"
            ),
            "default_model": choice({"": self.tr("Last used")}),
            "context": choice({length: tokens(length) for length in CONTEXTS}, tokens),
            "threads": choice({0: self.tr("Automatic"), **threads}),
            "batch_threads": choice({0: self.tr("Automatic"), **threads}),
            "gpu_layers": choice({-1: self.tr("As many as fit"), 0: self.tr("None")}),
            "temperature": number("temperature"),
            "top_p": number("top_p"),
            "top_k": number("top_k"),
            "min_p": number("min_p"),
            "repeat_penalty": number("repeat_penalty"),
            "max_tokens": choice({**{length: tokens(length) for length in LONGEST}, 0: self.tr("No limit")}, tokens),
            "picture_detail": choice({"fast": self.tr("Fast"), "fine": self.tr("Fine")}),
            "seed": number("seed", special=self.tr("Random")),
        }

    def _preset_names(self) -> dict[str, str]:
        names = {"precise": self.tr("Precise"), "balanced": self.tr("Balanced"), "creative": self.tr("Creative")}
        return {preset: names[preset] for preset in PRESETS}

    def _make_sections(self) -> list[Section]:
        self._gpu_row = self._row("gpu_layers", self.tr("Layers on the graphics card"))
        self._gpu_row.hide()
        self._packages_row = self._make_packages_row()
        self._training_section = Section(self.tr("Fine-tuning"), [self._packages_row])
        self._training_section.hide()
        preset_help = self.tr("A starting point for the values below.")
        return [
            Section(
                self.tr("Appearance"),
                [self._row("theme", self.tr("Theme")), self._row("text_scale", self.tr("Text size"))],
            ),
            Section(
                self.tr("Models"),
                [self._row("default_model", self.tr("Model for new chats")), self._folder_row()],
            ),
            Section(
                self.tr("Memory and processor"),
                [
                    self._row("context", self.tr("Context")),
                    self._row("threads", self.tr("Threads for writing")),
                    self._row("batch_threads", self.tr("Threads for reading")),
                    self._gpu_row,
                ],
            ),
            Section(
                self.tr("Answers"),
                [
                    SettingRow(self.tr("Preset"), preset_help, self._preset.widget),
                    self._row("temperature", self.tr("Temperature")),
                    self._row("top_p", "Top-p"),
                    self._row("top_k", "Top-k"),
                    self._row("min_p", "Min-p"),
                    self._row("repeat_penalty", self.tr("Repetition penalty")),
                    self._row("max_tokens", self.tr("Longest answer")),
                    self._row("picture_detail", self.tr("Detail of pictures")),
                    self._row("seed", self.tr("Seed")),
                ],
            ),
            self._training_section,
        ]

    def _row(self, setting: str, name: str) -> SettingRow:
        return SettingRow(name, self.tr(limits_of(setting).help), self._fields[setting].widget)

    def _folder_row(self) -> SettingRow:
        buttons = QWidget()
        layout = QHBoxLayout(buttons)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        self._usual_folder = Button(self.tr("Use the usual one"), "text")
        self._usual_folder.clicked.connect(lambda: self._settings.change(models_folder=""))
        choose = Button(self.tr("Choose…"))
        choose.setAccessibleName(self.tr("Choose the models folder"))
        choose.clicked.connect(self._choose_folder)
        layout.addWidget(self._usual_folder)
        layout.addWidget(choose)
        row = SettingRow(self.tr("Models folder"), "", buttons)
        self._folder_text = row.help
        return row

    def _make_packages_row(self) -> SettingRow:
        self._remove_packages = Button(self.tr("Remove…"))
        self._remove_packages.clicked.connect(self.packages_removal_requested)
        return SettingRow(self.tr("Packages for training"), "", self._remove_packages)

    def _make_reload_card(self) -> Card:
        card = Card()
        row = QHBoxLayout()
        row.setSpacing(12)
        text = self.tr("The loaded model still runs with the settings it was loaded with.")
        row.addWidget(WrappedLabel(text), 1)
        button = Button(self.tr("Reload model"), "primary")
        button.clicked.connect(self.reload_requested)
        row.addWidget(button)
        card.body.addLayout(row)
        card.hide()
        return card

    def _connect(self) -> None:
        for name, field in self._fields.items():
            field.changed.connect(lambda value, name=name: self._settings.change(**{name: value}))
        self._preset.changed.connect(self._apply_preset)
        self._settings.changed.connect(self._show_values)

    def _apply_preset(self, preset: object) -> None:
        if preset in PRESETS:
            self._settings.change(**PRESETS[str(preset)])
        else:
            self._show_values()

    def _show_values(self) -> None:
        """Show the settings as they are, whoever changed them."""
        values = self._settings.values
        default_models = {str(path): title for title, path in self._models}
        if values.default_model:
            default_models.setdefault(values.default_model, Path(values.default_model).stem)
        self._fields["default_model"].set_items({"": self.tr("Last used"), **default_models})
        for name, field in self._fields.items():
            field.set_value(getattr(values, name))
        self._preset.set_value(preset_of(values) or CUSTOM)
        folder = values.models_folder or str(self._default_models_folder)
        self._folder_text.setText(f"{self.tr(limits_of('models_folder').help)}\n{folder}")
        self._usual_folder.setVisible(bool(values.models_folder))
        self._show_reload()

    def _show_reload(self) -> None:
        before, now = self._loaded_with, self._settings.values
        names = [field.name for field in dataclasses.fields(Values) if limits_of(field.name).at_load]
        differs = before is not None and any(getattr(before, name) != getattr(now, name) for name in names)
        self._reload_card.setVisible(differs)

    def _choose_folder(self) -> None:
        present = self._settings.values.models_folder or str(self._default_models_folder)
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Choose the models folder"), present)
        if chosen:
            self._settings.change(models_folder=str(Path(chosen)))
