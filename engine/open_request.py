"""Keep what is needed to take up a request in another worker, where a GPU has ended its first one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from engine.protocol import Chat, Event, Load, Ready, Request, Token


@dataclass(slots=True)
class OpenRequest:
    """Follow one request through its workers.

    Attributes:
        request: what was asked for.
        on_event: gets the events, all under the first id.
        asked: whether the owner asked for it; if not the supervisor did.
        first_id: the id that the owner knows; None until there is one.
        id: the id in the worker that has it now.
        cancelled: whether its end was asked for.
        ended: whether it has had its last event.
        written: the ids of the tokens whose text was given out.
    """

    request: Request
    on_event: Callable[[Event], None]
    asked: bool
    first_id: int | None = None
    id: int | None = None
    cancelled: bool = False
    ended: bool = False
    written: list[int] = field(default_factory=list)

    def give(self, event: Event) -> None:
        """Hand an event on."""
        if isinstance(event, Token):
            self.written.extend(event.ids)
        if not isinstance(event, Ready) and self.first_id is not None and event.id != self.first_id:
            event = replace(event, id=self.first_id)
        self.on_event(event)

    def without_gpu(self) -> Request | None:
        """Give what asks a worker for the rest without a GPU; None for what is not to be taken up."""
        if self.cancelled or not self.asked:
            return None
        if isinstance(self.request, Chat):
            return replace(self.request, written=tuple(self.written))
        if isinstance(self.request, Load) and self.request.gpu != "avoid" and self.request.gpu_layers != 0:
            return replace(self.request, gpu="avoid")
        return None
