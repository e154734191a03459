"""Say in a sentence how an answer ended, when it did not end well, and what can be done about it."""

from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QCoreApplication

from app.storage.messages import INTERRUPTED, Message

Remedy = Literal["retry", "models", "settings"]

_REMEDIES: dict[str, Remedy] = {
    "worker_died": "retry",
    "worker_unavailable": "retry",
    "no_model": "models",
    "no_vision": "models",
    "model_not_found": "models",
    "model_invalid": "models",
    "model_unsupported": "models",
    "template_invalid": "models",
    "out_of_memory": "settings",
    "prompt_too_long": "settings",
    "internal": "retry",
    "disk_full": "retry",
}
_GOOD = ("stop", "tool_calls")
_CALM = ("cancelled", "length", INTERRUPTED)


@dataclass(frozen=True)
class Outcome:
    """Hold the sentence below an answer; `failed` tells an error from a plain remark."""

    sentence: str
    failed: bool = False
    remedy: Remedy | None = None


def outcome_of(message: Message) -> Outcome | None:
    """Return what there is to say about how an answer ended, or None."""
    stats = message.stats
    if stats is None:
        return None
    if stats.finish_reason in _GOOD:
        return Outcome(stats.notice) if stats.notice else None
    if stats.finish_reason in _CALM:
        return Outcome(" ".join(filter(None, [stats.notice, _calm_sentence(stats.finish_reason)])))
    sentence = stats.notice or _tr("The answer failed.")
    return Outcome(sentence, failed=True, remedy=_REMEDIES.get(stats.finish_reason))


def remedy_label(remedy: Remedy) -> str:
    """Return what the button of a remedy says."""
    return {"retry": _tr("Try again"), "models": _tr("Open Models"), "settings": _tr("Open Settings")}[remedy]


def _calm_sentence(finish_reason: str) -> str:
    return {
        "cancelled": _tr("You stopped this answer."),
        "length": _tr("The answer reached its longest length."),
        INTERRUPTED: _tr("This answer was cut off when Phidelity was closed."),
    }[finish_reason]


def _tr(text: str) -> str:
    return QCoreApplication.translate("Outcome", text)
