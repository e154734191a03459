"""Say in a line what an answer was made with, as far as that was kept."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QCoreApplication, QLocale

from app.storage.messages import Message


def made_with_text(message: Message) -> str:
    """Return version, model, adapter and sampling values of an answer."""
    model = message.stats.model if message.stats else None
    values = message.made_with
    if message.edited_from is not None:
        return f"{_tr('Version {}').format(message.version)} · {_tr('edited by you')}"
    parts = [_tr("Version {}").format(message.version), model or _tr("model not known")]
    parts += [_tr("adapter {0} × {1}").format(name, scale) for name, scale in _adapters(values)]
    for name, words in (
        ("temperature", _tr("temperature {}")),
        ("top_p", _tr("top-p {}")),
        ("top_k", _tr("top-k {}")),
        ("min_p", _tr("min-p {}")),
    ):
        number = _number(values.get(name))
        if number:
            parts.append(words.format(number))
    return " · ".join(parts)


def _adapters(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give names and strengths of the adapters; answers of before there were several have one."""
    stored = values.get("adapters", [{"name": values.get("adapter"), "scale": values.get("adapter_scale")}])
    found = [each for each in stored if isinstance(each, dict)] if isinstance(stored, list) else []
    named = [(each.get("name"), _number(each.get("scale")) or "1") for each in found]
    return [(name, scale) for name, scale in named if isinstance(name, str) and name]


def _number(value: object) -> str:
    """Write a number shortly; what is none becomes nothing."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    return QLocale().toString(float(value), "g", 4)


def _tr(text: str) -> str:
    return QCoreApplication.translate("MadeWith", text)
