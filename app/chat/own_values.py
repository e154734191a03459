"""Keep what a chat sets for itself instead of the settings: sampling, adapters, detail of pictures, system prompt."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.chat.page import ChatPage
from app.chat.picture_controller import PictureController
from app.chat.services import ChatServices
from app.chat.turns import adapters_of, detail_of, shown_sampling, with_adapters
from app.storage.conversations import Conversation
from engine.library.adapter_card import tuned_companion
from engine.pictures.stored_picture import DETAIL_CROPS, Detail
from engine.protocol import Adapter


class OwnValues(QObject):
    """Show the values of the current chat in the panel, and store what is changed there."""

    # The current chat is stored with other values than it had.
    stored = Signal()
    detail_changed = Signal()

    def __init__(
        self,
        page: ChatPage,
        services: ChatServices,
        pictures: PictureController,
        current: Callable[[], Conversation | None],
    ) -> None:
        """Follow the panel; `current` gives the chat that is shown, None before its first message."""
        super().__init__(page)
        self._page, self._services, self._pictures, self._current = page, services, pictures, current
        # What was chosen in the panel before the first message made the chat.
        self._new_prompt = ""
        self._new_values: dict[str, Any] = {}
        page.panel.sampling_changed.connect(self._set)
        page.panel.adapters_changed.connect(self._set_adapters)
        page.panel.system_prompt_changed.connect(self._set_system_prompt)
        page.composer.tray.detail_chosen.connect(self.set_detail)

    @property
    def values(self) -> Mapping[str, Any]:
        """Return the values that are set for the chat that is shown."""
        current = self._current()
        return current.sampling if current else self._new_values

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """Return the adapters of the chat that is shown."""
        return adapters_of(self.values)

    @property
    def companion(self) -> Path | None:
        """Return the picture part that was trained with one of the adapters; None for the model's own."""
        return next(filter(None, (tuned_companion(Path(adapter.path)) for adapter in self.adapters)), None)

    @property
    def system_prompt(self) -> str:
        """Return the system prompt of the chat that is shown."""
        current = self._current()
        return current.system_prompt if current else self._new_prompt

    @property
    def num_crops(self) -> int:
        """Return into how many crops a picture is cut at most."""
        return DETAIL_CROPS[detail_of(self._services.settings.values, self.values)]

    def begin(self) -> None:
        """Forget what was chosen for a chat that did not come to be."""
        self._new_prompt, self._new_values = "", {}

    def give_to(self, conversation_id: int) -> None:
        """Store with a new chat what was chosen before it was made."""
        if self._new_values:
            self._services.conversations.set_sampling(conversation_id, self._new_values)

    def use_adapters(self, adapters: Sequence[Adapter]) -> None:
        """Choose the adapters that answers are written with from now on."""
        self._set_adapters(adapters)
        self.show()

    def set_detail(self, detail: Detail) -> None:
        """Choose how finely pictures are looked at."""
        self._set({"picture_detail": detail})
        self._pictures.set_detail(detail)
        self.detail_changed.emit()

    def show(self) -> None:
        """Show the values in the panel."""
        values, panel = self._services.settings.values, self._page.panel
        panel.set_sampling(shown_sampling(values, self.values))
        panel.adapters.set_chosen(self.adapters)
        self._pictures.set_detail(detail_of(values, self.values))
        panel.set_system_prompt(self.system_prompt)

    def _set(self, changes: Mapping[str, Any]) -> None:
        self._store({**self.values, **changes})

    def _set_adapters(self, adapters: Sequence[Adapter]) -> None:
        self._store(with_adapters(self.values, adapters))

    def _set_system_prompt(self, text: str) -> None:
        current = self._current()
        if current is None:
            self._new_prompt = text
            return
        self._services.conversations.set_system_prompt(current.id, text)
        self.stored.emit()

    def _store(self, values: dict[str, Any]) -> None:
        current = self._current()
        if current is None:
            self._new_values = values
            return
        self._services.conversations.set_sampling(current.id, values)
        self.stored.emit()
