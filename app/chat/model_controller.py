"""Keep the model picker, the panel and the greeting in line with the engine, and load what is asked for."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.chat.page import ChatPage
from app.chat.services import ChatServices
from app.chat.top_bar import ModelChoice
from engine.library.adapter_card import AdapterCard
from engine.library.folders import starter_path
from engine.protocol import ChatResult, GpuUse, Load

# Shorter answers say little about a model's speed.
TOKENS_FOR_SPEED = 16


class ModelController(QObject):
    """Load models for the chat page."""

    models_requested = Signal()
    figures_requested = Signal(str)
    repair_requested = Signal(str)
    ready = Signal()
    # Another model, another state of it, or other models to choose from.
    changed = Signal()
    speed_measured = Signal(str, float)

    def __init__(self, page: ChatPage, services: ChatServices) -> None:
        """Show the engine's state from now on."""
        super().__init__(page)
        self._page = page
        self._services = services
        self._wanted = ""
        # What the model that is loaded, or about to be, looks at pictures with; None: its own companion.
        self._companion: Path | None = None
        self._choices: list[ModelChoice] = []
        self._shown_kind = "none"
        picker = page.top_bar.picker
        picker.load_requested.connect(lambda path: self.load(path))
        picker.cancel_requested.connect(services.bridge.cancel_load)
        picker.eject_requested.connect(services.bridge.unload)
        picker.models_requested.connect(self.models_requested)
        picker.figures_requested.connect(self.figures_requested)
        page.notes.repair_requested.connect(self.repair_requested)
        page.notes.gpu_requested.connect(lambda path: self.load(path, gpu="retry"))
        page.trouble.models_requested.connect(self.models_requested)
        page.trouble.retry_requested.connect(self.load_again)
        services.bridge.state_changed.connect(self._engine_changed)
        # All that is known before the library has been looked through.
        self.set_choices([ModelChoice(str(starter_path()), self.tr("Starter"), "", 0)])

    @property
    def model_name(self) -> str:
        """Return the name of the model that is loaded or loading, or nothing."""
        there = self._services.bridge.state.kind in ("loading", "ready")
        return self._page.top_bar.picker.model_name() if there else ""

    @property
    def title(self) -> str:
        """Return the name without the quantisation, for sentences."""
        return self.model_name.split(" · ")[0] or self.tr("This model")

    @property
    def sees_pictures(self) -> bool | None:
        """Tell whether the model that will answer sees pictures; None while that is not known."""
        state = self._services.bridge.state
        if state.kind == "ready" and state.model is not None:
            return state.model.num_crops > 0
        path = state.path or self._wanted
        return next((choice.has_vision for choice in self._choices if choice.path == path), None)

    def vision_choice(self) -> ModelChoice | None:
        """Return a model that sees pictures, the smallest of those that fit into memory before all others."""
        seeing = [choice for choice in self._choices if choice.has_vision]
        return min(seeing, key=lambda choice: (not choice.fits, choice.size_bytes), default=None)

    def set_choices(self, choices: Sequence[ModelChoice]) -> None:
        """Offer these models."""
        self._choices = list(choices)
        self._page.top_bar.picker.set_choices(choices)
        self._engine_changed()

    def set_adapters(self, path: str, cards: Sequence[AdapterCard]) -> None:
        """Offer the adapters that fit the model in the file `path`, if that is still the loaded one."""
        state = self._services.bridge.state
        if state.kind == "ready" and state.path == path:
            self._page.panel.adapters.set_choices(cards)

    def load(self, path: str, companion: Path | None = None, gpu: GpuUse = "auto") -> None:
        """Load a model with the settings as they are now.

        One that sees may get another companion; `gpu` may ask for a graphics card that has failed before.
        """
        values = self._services.settings.values
        self._wanted, self._companion = path, companion
        request = Load(
            path,
            context=values.context,
            threads=values.threads,
            batch_threads=values.batch_threads,
            gpu_layers=values.gpu_layers,
            companion=str(companion or ""),
            thread_cache=str(self._services.thread_cache),
            picture_cache=str(self._services.picture_cache),
            gpu=gpu,
        )
        self._services.bridge.load(request)

    def see_with(self, companion: Path | None) -> None:
        """Let a model that sees look with the companion that was trained with a chat's adapter; None: with its own."""
        state = self._services.bridge.state
        there = state.kind in ("ready", "loading") and self.sees_pictures is not False
        if there and companion != self._companion:
            self.load(state.path, companion)

    def load_again(self) -> None:
        """Load the model that was last asked for, or the default one."""
        self.load(self._wanted or self.default_path())

    def default_path(self) -> str:
        """Return the chosen model, else the one used last, else the Starter."""
        chosen = self._services.settings.values.default_model
        last = self._services.records.last_used()
        candidates = [Path(chosen)] if chosen else []
        candidates += [last] if last else []
        return str(next((path for path in candidates if path.is_file()), starter_path()))

    def note_answer(self, result: ChatResult | None) -> None:
        """Take the speed and the memory of an answer that has just ended."""
        self._show_memory()
        if result is not None and result.completion_tokens >= TOKENS_FOR_SPEED:
            self.speed_measured.emit(self._services.bridge.state.path, result.tokens_per_second)

    def _show_memory(self) -> None:
        """Measure the worker's memory and show it."""
        state = self._services.bridge.state
        self._page.panel.set_model(state, self._services.bridge.worker_memory() if state.kind == "ready" else None)

    def _engine_changed(self) -> None:
        state = self._services.bridge.state
        self._page.top_bar.picker.set_state(state)
        self._page.trouble.set_state(state)
        self._page.notes.set_state(state)
        self._page.empty_state.set_model(self.model_name, state.path == str(starter_path()))
        self._page.composer.set_model(self.title if self.model_name else "", self.sees_pictures is True)
        self._show_memory()
        if state.kind == "ready" and self._shown_kind != "ready":
            self._services.records.note_use(Path(state.path))
            self.ready.emit()
        if state.kind != "ready":
            self._page.panel.adapters.set_choices(None)
        self._shown_kind = state.kind
        self.changed.emit()
